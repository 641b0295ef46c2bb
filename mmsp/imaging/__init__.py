"""Pictures for the image front end: read, mosaicked, and processed by models or hardware."""
