"""The audio front end: from a microphone pin to int8 features."""
