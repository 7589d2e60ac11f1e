"""Statements as data: how many, which, and how two compare, exactly and with quotes."""
