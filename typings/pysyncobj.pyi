# PySyncObj 0.3.17, as far as benchmarks/contestants/pysyncobj_peer.py uses it.

from collections.abc import Callable

class FAIL_REASON:
    SUCCESS: int

class SyncObjConf:
    def __init__(
        self,
        *,
        raftMinTimeout: float,
        raftMaxTimeout: float,
        connectionTimeout: float,
        connectionRetryTime: float,
        appendEntriesUseBatch: bool,
    ) -> None: ...

class SyncObj:
    def __init__(self, me: str, others: list[str], conf: SyncObjConf) -> None: ...
    def isReady(self) -> bool: ...
    def getStatus(self) -> dict[str, object]: ...

def replicated(function: Callable[..., None]) -> Callable[..., None]: ...
