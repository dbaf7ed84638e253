"""Whether a replay buffer contains stacks of frames."""

from sb3_fpac.buffers import BaseFrameReplayBuffer
from sb3_fpac.observations import naming

_WRONG_END = (
    "The next observation of a transition that ends an episode does not continue its observation, as if it were the first one "
    "of the next episode: pass replay_buffer.add the last one of its own, which a VecEnv puts into "
    "infos[i]['terminal_observation']."
)


def check_stacks(buffer: BaseFrameReplayBuffer) -> None:
    """
    Check that what is stored are stacks of frames.

    :param buffer: The replay buffer
    :raises ValueError: if half of the next observations do not continue their observations, or the last one of an episode that
        matters for learning does not
    """
    n_rows = buffer.buffer_size if buffer.full else buffer.pos
    matter = buffer.dones[:n_rows].astype(bool)
    if buffer.n_steps > 1:
        matter &= buffer.timeouts[:n_rows].astype(bool)  # nobody learns from what is seen after a failure
    for key, store in buffer.stores.items():
        slots, next_slots = (
            (rows if key is None else rows[key])[:n_rows, ..., : store.n_frames]
            for rows in (buffer.observations, buffer.next_observations)
        )
        continued = (slots[..., 1:] == next_slots[..., :-1]).all(axis=-1).reshape(n_rows, buffer.n_envs)
        with naming(key):
            if continued.size and continued.mean() <= 0.5:
                raise store.not_continued()
            if (matter & ~continued).any():
                raise ValueError(_WRONG_END)
