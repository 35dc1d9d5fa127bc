"""Work on many frames is spread over processes here: the same shards whatever the workers, merged in their order."""

from edge.spread.shards import SHARD_FRAMES, LostFrame, Progress, Shard, Spread, Task, shards_of
from edge.spread.spread import default_workers, spread

__all__ = [
    "SHARD_FRAMES", "LostFrame", "Progress", "Shard", "Spread", "Task", "default_workers", "shards_of", "spread",
]  # fmt: skip
