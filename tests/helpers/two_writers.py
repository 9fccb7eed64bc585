"""For tests: code for two processes that make the same at the same time on a folder without locks;
they meet before each commit in the folder that MEETING names."""

NO_LOCKS = """
import errno, fcntl, os
def missing(*args):
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
fcntl.flock = missing
"""
MEETING = """
import os, pathlib, time
from benchmark.store.objects import Objects
from benchmark.store.results import Results
meeting = pathlib.Path(os.environ["MEETING"])
def together(cls):
    commit = cls.commit
    def both(self, key, *args):
        (meeting / f"{cls.__name__}-{key}-{os.getpid()}").touch()
        until = time.monotonic() + 90
        while len(list(meeting.glob(f"{cls.__name__}-{key}-*"))) < 2 and time.monotonic() < until:
            time.sleep(0.002)
        assert time.monotonic() < until, "the other writer did not come"
        commit(self, key, *args)
    cls.commit = both
together(Objects)
together(Results)
"""
