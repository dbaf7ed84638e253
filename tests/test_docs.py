"""The pages can be read without Sphinx, and their tables say what the code says."""

import re
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
sys.path.insert(0, str(DOCS))

from tables import TABLES, with_tables  # noqa: E402

PAGES = [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_tables_are_up_to_date_and_nothing_needs_sphinx(page):
    text = page.read_text(encoding="utf-8")
    assert with_tables(text) == text, "run: python docs/tables.py"
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert "{{" not in prose
    assert not re.findall(r"\[\]\([^)]*\)", prose), "a link without a text is invisible on a code host"
    assert not re.findall(r"\{[a-z:]+\}`[^`]*`", prose), "a role is raw text on a code host"


def test_every_table_is_on_a_page():
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert {name: text.count(f"<!-- table: {name} -->") for name in TABLES} == dict.fromkeys(TABLES, 1)
