"""Searches the vectors of `visavis-lab bench gallery --write FOLDER` with FAISS, to compare with the gallery's search.

    visavis-lab bench gallery --people 100000 --approximate --write out/bench --json > ours.json
    python faiss_gallery.py out/bench --length 128

Uses the inner product of unit vectors, which orders like the cosine. One query at a time, on one thread; graphs are built with
--threads. Prints JSON: milliseconds per query of the flat index and of HNSW at each --ef, recall@1 against the flat index, and
build time and size of the graph.
"""

import argparse
import json
import pathlib
import time

import faiss
import numpy as np


def timed(index, queries):
    """Milliseconds per query, and the first result of each; every query runs once before."""
    for query in queries:
        index.search(query[None], 1)
    times, named = [], []
    for query in queries:
        start = time.perf_counter()
        named.append(int(index.search(query[None], 1)[1][0, 0]))
        times.append((time.perf_counter() - start) * 1e3)
    return {"milliseconds": float(np.mean(times)), "milliseconds_p50": float(np.median(times))}, np.array(named)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--links", type=int, default=32)
    parser.add_argument("--ef-construction", type=int, default=128)
    parser.add_argument("--ef", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    read = lambda name: np.fromfile(args.folder / name, "<f4").reshape(-1, args.length)
    base, queries = read("base.f32"), read("queries.f32")
    report = {"vectors": len(base), "length": args.length, "queries": len(queries), "faiss": faiss.__version__}

    faiss.omp_set_num_threads(1)
    flat = faiss.IndexFlatIP(args.length)
    flat.add(base)
    report["flat"], exact = timed(flat, queries)
    del flat

    graph = faiss.IndexHNSWFlat(args.length, args.links, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = args.ef_construction
    faiss.omp_set_num_threads(args.threads)
    start = time.perf_counter()
    graph.add(base)
    report["hnsw_build_seconds"] = time.perf_counter() - start
    report["hnsw_bytes"] = int(faiss.serialize_index(graph).nbytes)
    faiss.omp_set_num_threads(1)
    for ef in args.ef:
        graph.hnsw.efSearch = ef
        report[f"hnsw_ef_{ef}"], named = timed(graph, queries)
        report[f"hnsw_ef_{ef}"]["recall_at_1"] = float(np.mean(named == exact))
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
