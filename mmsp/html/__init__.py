"""Reports as one self-contained HTML page each: no script, no font, no picture from elsewhere."""

from mmsp.html.bench_page import bench_page
from mmsp.html.gating_page import gating_page
from mmsp.html.run_page import run_page

__all__ = ["bench_page", "gating_page", "run_page"]
