"""Options of the image front end, which `mmsp isp` has and `mmsp run` takes from a file."""

import argparse

from mmsp.imaging.options import FIELDS, IspOptions, parse_options, read_settings

__all__ = ["add_isp_options", "add_isp_settings", "given_options"]

OPTIONS = {
    "pattern": ("RGGB", "Bayer order: RGGB (of pictures, if not given), GRBG, GBRG or BGGR"),
    "bits": ("N", "of a pixel of a RAW file, 8 (one byte) to 16 (two, the lower one first); "
             "without it 8 or 12, as its length says"),
    "size": ("WxH", "of a RAW file: width and height in pixels, up to 1280x1024"),
    "black_level": ("LEVEL", "what the sensor gives without light, in its own units: 1 number, 3 "
                    "(red, green, blue) or 4 (0)"),
    "bad_pixel_threshold": ("N", "how far of 4095 a pixel must be from its neighbours' range to be "
                            "replaced; 4095 is off (RAW files 64, pictures off)"),
    "bad_pixel_rank": ("N", "0 to 3: clusters of up to N + 1 pixels of a colour are corrected (1)"),
    "gains": ("GAINS", "white balance: auto (grey world, from the first frame; of RAW files), or "
              "1, 3 or 4 numbers up to 15.999 (of pictures 1)"),
    "matrix": ("M", "colour matrix, 9 numbers with commas, row by row (--matrix=-1,... if the "
               "first is negative)"),
    "gamma": ("TABLE", "srgb (of RAW files), identity (of pictures), or a file of 257 integers of "
              "0 to 4095"),
    "crop": ("WxH+X+Y", "rectangle of the picture that becomes the tensor (all of it)"),
    "tensor_size": ("WxH", "of the tensor, and of what change detection sees, up to 320x240 "
                    "(default: the largest of the same shape)"),
    "tensor_range": ("LOW,HIGH", "real values that a network takes the pixels 0 and 255 for, when "
                     "its scale and zero point do not say (--tensor-range=-1,... if the first is "
                     "negative)"),
    "quality": ("Q", "of the JPEG file, 1 to 100 (85)"),
    "restart_interval": ("N", "restart markers in the JPEG file every N blocks of 16 x 16 pixels "
                         "(8 x 8 with --grey), none if 0 (0)"),
    "change_threshold": ("D", "a block has changed when its mean is further than D of 255 from the "
                         "reference (8)"),
    "change_activity": ("D", "or its activity, the mean difference between neighbours (8)"),
    "change_count": ("N", "blocks that must have changed to wake (2)"),
    "change_block": ("N", "side of a block, 8, 16 or 32 pixels (8)"),
    "change_shift": ("N", "the reference follows by 1/2^N a frame, 0 to 8 (2)"),
}  # fmt: skip


def add_isp_settings(parser: argparse.ArgumentParser) -> None:
    """The file."""
    parser.add_argument(
        "--isp-settings",
        metavar="F.toml",
        help="options of the image front end in a file, by their names with _ for -",
    )


def add_isp_options(parser: argparse.ArgumentParser) -> None:
    """All of them."""
    for name, (metavar, text) in OPTIONS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", metavar=metavar, help=text)
    parser.add_argument(
        "--grey", action="store_true", help="tensor and JPEG file have the luma alone"
    )
    add_isp_settings(parser)


def given_options(arguments: argparse.Namespace) -> IspOptions:
    """What the arguments say, over what their file says.

    Raises
    ------
    InputError
        With the option or field, its value and what is allowed.
    """
    given: dict[str, str | None] = {name: getattr(arguments, name, None) for name in FIELDS}
    given["grey"] = "True" if given["grey"] else None
    return parse_options(given, read_settings(arguments.isp_settings))
