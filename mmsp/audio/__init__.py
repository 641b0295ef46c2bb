"""Recordings, the front ends that turn them into features, and the features as inputs."""
