"""A replay buffer that stores every frame once."""

from sb3_fpac.buffers.frame_batch import FrameBatch
from sb3_fpac.buffers.frame_pool import FramePool
from sb3_fpac.buffers.frame_replay_buffer import FrameReplayBuffer

__all__ = ["FrameBatch", "FramePool", "FrameReplayBuffer"]
