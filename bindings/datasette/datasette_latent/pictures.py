"""Pictures are shown as pictures, wherever a value is one."""
import base64

import markupsafe

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"


def is_picture(value):
    return isinstance(value, bytes) and value.startswith((PNG, JPEG))


def address(value, most):
    """A picture as the address of an <img>; None where it is none, or too large."""
    if not is_picture(value) or len(value) > most:
        return None
    kind = "png" if value.startswith(PNG) else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(value).decode()}"


def cell(value, most):
    """For the tables of Datasette: HTML, or None, so that Datasette shows the value as it does."""
    source = address(value, most)
    if source is None:
        return None
    return markupsafe.Markup(
        '<img src="{}" alt="picture, {} bytes" loading="lazy" style="max-width: 200px; '
        'max-height: 200px">').format(source, f"{len(value):,}")
