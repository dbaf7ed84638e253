"""Replay buffers that store every frame once."""

from sb3_fpac.buffers.base_frame_replay_buffer import BaseFrameReplayBuffer
from sb3_fpac.buffers.encoded_frames import FixedEncoder
from sb3_fpac.buffers.episodes import end_episodes, is_mid_episode
from sb3_fpac.buffers.frame_batch import FrameBatch
from sb3_fpac.buffers.frame_pool import FramePool
from sb3_fpac.buffers.frame_replay_buffer import FrameReplayBuffer
from sb3_fpac.buffers.frame_store import FrameStore
from sb3_fpac.buffers.her_frame_replay_buffer import HerFrameReplayBuffer
from sb3_fpac.buffers.memory import vector_bytes
from sb3_fpac.buffers.normalization import normalized_keys

__all__ = [
    "BaseFrameReplayBuffer",
    "FixedEncoder",
    "FrameBatch",
    "FramePool",
    "FrameReplayBuffer",
    "FrameStore",
    "HerFrameReplayBuffer",
    "end_episodes",
    "is_mid_episode",
    "normalized_keys",
    "vector_bytes",
]
