"""The image front end: from a camera's pins to RGB, an int8 tensor and a wake-up."""
