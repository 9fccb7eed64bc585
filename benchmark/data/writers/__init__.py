"""Writers of the layouts that `readers` reads: to try before a download, and for tests."""
