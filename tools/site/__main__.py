"""``python -m tools.site [FOLDER]``: build the site, in ``build/site`` when no folder is named."""

from __future__ import annotations

import sys
from pathlib import Path

from tools.site.build import BuildError, build_site
from tools.site.contents import ROOT
from tools.site.staging import LinkError

__all__ = ["main"]


def main() -> None:
    """Build it, and print where it is; exit with 1 when a page is wrong."""
    if len(sys.argv) > 2 or (len(sys.argv) == 2 and sys.argv[1].startswith("-")):
        raise SystemExit("usage: python -m tools.site [FOLDER]")
    site = Path(sys.argv[1]) if len(sys.argv) == 2 else ROOT / "build" / "site"
    try:
        built = build_site(site, ROOT / "build" / "site-work")
    except (BuildError, LinkError) as error:
        raise SystemExit(str(error)) from error
    print(f"{built / 'index.html'}")


if __name__ == "__main__":
    main()
