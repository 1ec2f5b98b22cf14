"""Search in a Milvus server, for more vectors than one machine holds. The only module that imports pymilvus.

It is for callers in Python only: no `index.kind` names it. Ties at the edge of k are not settled by row: Milvus returns
any of the equals there.

What milvus-lite 3.2.2, the file-backed server for tests, was seen to do otherwise than a server: it takes fp32 vectors
only (no FLOAT16_VECTOR), accepts every index type by name, knows in filters neither `%` nor templates such as
`row in {rows}`, has no limit on k (a server's is 16,384), takes an insert of a known row as its replacement, and lets
one process at a time open the file. It answers one query over 20,000 vectors in 20 to 30 ms (100 before the flush),
threads one after another, so it says nothing of a server's speed. It brings faiss-cpu: not beside faiss-gpu.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import SnapshotError, import_extra
from retrieval.index.planner import over_fetch
from retrieval.index.protocol import Half, Mask, Neighbours, best_of_both, no_neighbours, take_best

ROW, VECTOR = "row", "vector"
FLAT = "FLAT"  # Milvus's exhaustive index
MAX_K = 16_384  # a server's limit on what one search returns
ROWS_IN_FILTER = 8192  # ids of one filter: 60 KB of text
ROWS_AT_ONCE = 2000  # of an insert: 4 MB at 512 dimensions, of the 64 MB that a server takes
QUERIES_AT_ONCE = 64


class MilvusIndex:
    """A collection of vectors by row. It is exact if its index is FLAT; the server decodes fp16 to fp32, losslessly.

    Few eligible rows are sent as a list of ids; for more, the search fetches more than asked and drops the ineligible,
    and queries that come short go by lists of ids, so that *k* are found whenever so many are eligible. Nothing is held
    here but the connection: safe in threads, opened anew in each process (gRPC does not survive a fork).
    """

    def __init__(self, client: Any, name: str, options: Mapping[str, int] | None = None) -> None:
        self._client = client
        self._name = name
        self._options = dict(options or {})
        self._n_items = int(client.query(name, filter="", output_fields=["count(*)"])[0]["count(*)"])
        self.exact = str(client.describe_index(name, VECTOR)["index_type"]) == FLAT

    @classmethod
    def build(
        cls, uri: str, name: str, vectors: Half, index_type: str = FLAT, parameters: Mapping[str, int] | None = None,
        options: Mapping[str, int] | None = None,
    ) -> "MilvusIndex":  # fmt: skip
        """Fill a new collection *name* at *uri*, in place of one of that name, with `(n_items, dim)` vectors.

        Args:
            uri: of a server, or the path of a file, ending in .db, for milvus-lite.
            index_type: FLAT, IVF_FLAT, HNSW … with its *parameters* (nlist, M …).
            options: of each search (nprobe, ef …).
        """
        pymilvus = import_extra("pymilvus", "milvus")
        client = pymilvus.MilvusClient(uri)
        if client.has_collection(name):
            client.drop_collection(name)
        _create(pymilvus, client, name, vectors.shape[1], index_type, dict(parameters or {}))
        for start in range(0, len(vectors), ROWS_AT_ONCE):
            block = vectors[start : start + ROWS_AT_ONCE].astype(np.float32)
            client.insert(name, [{ROW: start + row, VECTOR: vector} for row, vector in enumerate(block)])
        client.flush(name)
        return cls(client, name, options)

    @classmethod
    def open(cls, uri: str, name: str, options: Mapping[str, int] | None = None) -> "MilvusIndex":
        """Open the collection *name* at *uri*.

        Raises:
            SnapshotError: there is none.
        """
        client = import_extra("pymilvus", "milvus").MilvusClient(uri)
        if not client.has_collection(name):
            raise SnapshotError(f"{uri} holds no collection {name}.", "Fill it: MilvusIndex.build")
        client.load_collection(name)
        return cls(client, name, options)

    @property
    def n_items(self) -> int:
        return self._n_items

    def close(self) -> None:
        """Give the connection back; milvus-lite lets go of its file."""
        self._client.close()

    def search(self, queries: NDArray[np.float32], k: int, eligible: Mask | None = None) -> Neighbours:
        """The *k* best eligible rows of each query; see `VectorIndex.search`."""
        passing = np.ones(self._n_items, bool) if eligible is None else eligible
        n_eligible = int(np.count_nonzero(passing))
        if not n_eligible or not len(queries):
            return no_neighbours(len(queries), k)
        fetch = over_fetch(k, n_eligible, self._n_items) if n_eligible < self._n_items else min(k, n_eligible)
        if fetch > MAX_K or n_eligible <= min(ROWS_IN_FILTER, self._n_items - 1):
            return self._by_ids(queries, k, passing)
        found = self._ask(queries, fetch)
        kept = passing[found.rows] & (found.rows >= 0)
        best = take_best(found.rows, np.where(kept, found.scores, -np.inf).astype(np.float32), k)
        if len(short := np.flatnonzero(kept.sum(axis=1) < min(k, n_eligible))):
            full = self._by_ids(queries[short], k, passing)
            best.rows[short], best.scores[short] = full.rows, full.scores
        return best

    def _by_ids(self, queries: NDArray[np.float32], k: int, eligible: Mask) -> Neighbours:
        """The answer over the eligible rows, so many at a time as a filter may list."""
        rows = np.flatnonzero(eligible)
        best = no_neighbours(len(queries), k)
        for start in range(0, len(rows), ROWS_IN_FILTER):
            block = rows[start : start + ROWS_IN_FILTER]
            found = self._ask(queries, min(k, len(block)), f"{ROW} in {block.tolist()}")
            best = best_of_both(best, found, k)
        return best

    def _ask(self, queries: NDArray[np.float32], k: int, expression: str = "") -> Neighbours:
        answer = no_neighbours(len(queries), k)
        for query, hits in enumerate(self._hits(queries, k, expression)):
            answer.rows[query, : len(hits)] = [hit[ROW] for hit in hits]
            answer.scores[query, : len(hits)] = [hit["distance"] for hit in hits]
        return take_best(answer.rows, answer.scores, k)

    def _hits(self, queries: NDArray[np.float32], k: int, expression: str) -> Iterator[Any]:
        for start in range(0, len(queries), QUERIES_AT_ONCE):
            yield from self._client.search(
                self._name, data=list(np.asarray(queries[start : start + QUERIES_AT_ONCE], np.float32)),
                anns_field=VECTOR, limit=k, filter=expression, search_params={"params": self._options},
            )  # fmt: skip


def _create(pymilvus: Any, client: Any, name: str, dim: int, index_type: str, parameters: dict[str, int]) -> None:
    """A collection that shows every insert at once: rows are inserted in full before it is searched."""
    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field(ROW, pymilvus.DataType.INT64, is_primary=True)
    schema.add_field(VECTOR, pymilvus.DataType.FLOAT_VECTOR, dim=dim)
    index = client.prepare_index_params()
    index.add_index(VECTOR, index_type=index_type, metric_type="IP", params=parameters)
    client.create_collection(name, schema=schema, index_params=index, consistency_level="Strong")
