"""Whether a JPEG file's compressed data is whole.

Pillow fills what is damaged with grey and says nothing. libjpeg-turbo, which decodes for it, complains, and simplejpeg
raises them.
"""


def is_whole(data: bytes) -> bool:
    """Whether the JPEG file ``data`` decodes without a complaint. True of what libjpeg-turbo does not decode at all.

    JPEG has no checksums: a damaged place that reads as other valid codes is not seen.
    """
    import simplejpeg

    try:
        simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return True  # nothing is known of it: Pillow opens it or says why not
    try:
        simplejpeg.decode_jpeg(data, colorspace="GRAY", strict=True)
    except ValueError:
        return False
    return True
