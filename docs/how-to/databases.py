"""A transaction through a pipeline; run it with `python databases.py`."""

import sqlalchemy
from sqlalchemy import text

from seawall import Bulkhead, CircuitBreaker, Pipeline, Retry
from seawall.integrations.sqlalchemy import protect, run_in_transaction

accounts = Pipeline("accounts", Retry(attempts=3), CircuitBreaker(failure_threshold=5), Bulkhead(10))
engine = sqlalchemy.create_engine("sqlite://")
protect(engine, accounts)  # single statements: judged, and refused while the circuit is open


def transfer(connection: sqlalchemy.Connection) -> int:
    """All of it is done, or nothing, and all of it again if it has to be."""
    connection.execute(text("CREATE TABLE account (name text, balance int)"))
    connection.execute(text("INSERT INTO account VALUES ('ann', 10)"))
    return int(connection.execute(text("SELECT balance FROM account")).scalar_one())


print("balance", run_in_transaction(engine, accounts, transfer))
engine.dispose()
