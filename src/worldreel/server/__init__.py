"""The server: the OpenAI Videos API over jobs that survive any crash.

    POST /v1/videos → gate (keys, limits) → forms → schema → orders → jobs: one row, committed
    worker: claim (a lease) → maker, a step at a time → storage: write, fsync, rename → commit

The row in the database is the only truth. Processes hold nothing that the row does not say: each
may be killed at any moment, and another goes on when the lease of the dead one runs out. Nothing
outside this package imports it, and nothing in the process that answers requests imports torch.
"""
