"""An outside package with one family for Goalscope, installed and used by tests/test_plugin.py."""
