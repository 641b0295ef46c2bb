"""What is in an image, for people: segments, tensors, the program's jobs, the memory plan."""

from mmsp.inspection.disassembly import DecodedJob, disassemble
from mmsp.inspection.memory_map import draw_memory
from mmsp.inspection.summary import print_image

__all__ = ["DecodedJob", "disassemble", "draw_memory", "print_image"]
