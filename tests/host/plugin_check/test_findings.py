"""What authors are advised to do about the state of a plugin."""

from __future__ import annotations

import re
from pathlib import Path

from qtforge_host import plugins
from qtforge_host.plugin_check.findings import _FIXES


def test_each_advice_to_authors_is_about_a_code_that_a_plugins_state_has() -> None:
    sources = Path(plugins.__file__).parent.glob("*.py")
    codes = {code for each in sources for code in re.findall(r'"(plugin\.\w+)"', each.read_text())}
    assert codes > set(_FIXES)
