"""A storage that outlives a restart of its database.

A connection that was lost between two calls is made anew (`pool_pre_ping`); one that is lost in a
call is not: then the call is given again until the database is back. Each may be given twice. What
an answer that was lost leaves behind is taken up by `studies`: a trial that nobody knows of is one
without a driver (`reclaim`), and a value that is stored already is ours (`finish`).
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable
from typing import Any

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

OUTAGE_SECONDS = 300.0
AGAIN_SECONDS = 0.5
CALLS = (
    "create_new_study",
    "set_study_user_attr",
    "set_study_system_attr",
    "get_study_id_from_name",
    "get_study_name_from_id",
    "get_study_directions",
    "get_study_user_attrs",
    "get_study_system_attrs",
    "get_all_studies",
    "_create_new_trial",
    "_set_trial_param",
    "set_trial_state_values",
    "set_trial_user_attr",
    "set_trial_system_attr",
    "get_trial_id_from_study_id_trial_number",
    "get_trial",
    "_get_trials",
    "_get_best_trial_id",
    "record_heartbeat",
    "_get_stale_trial_ids",
)


def is_lost(error: BaseException | None) -> bool:
    """Return whether an error, or one that caused it, says that the database server was gone: that
    its connection broke, or that it takes none just now."""
    while error is not None:
        if isinstance(error, DBAPIError):
            kind = type(error.orig)
            gone = kind.__module__.startswith("psycopg") and kind.__mro__[1:]
            names = {each.__name__ for each in (kind, *(gone or ()))}
            return error.connection_invalidated or (bool(gone) and "OperationalError" in names)
        error = error.__cause__ or error.__context__
    return False


def _patient(name: str) -> Callable[..., Any]:
    method = getattr(RDBStorage, name)

    @functools.wraps(method)
    def call(self: RDBStorage, *args: Any, **named: Any) -> Any:
        until, told = time.monotonic() + OUTAGE_SECONDS, False
        while True:
            try:
                return method(self, *args, **named)
            except (StorageInternalError, SQLAlchemyError) as error:
                if not is_lost(error) or time.monotonic() > until:
                    raise
            if not told:
                told = True
                sys.stderr.write("bench: the storage of the sweep is gone: waiting for it\n")
            time.sleep(AGAIN_SECONDS)

    return call


class Patient(RDBStorage):
    """Optuna's storage in a database server; its calls wait for a server that restarts, five
    minutes at most."""


for _name in CALLS:
    setattr(Patient, _name, _patient(_name))
