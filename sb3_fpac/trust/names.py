"""
What the files of SB3's agents may name without being trusted. No class here runs the code of others, whatever its arguments:
none imports by name, evaluates text, starts programs or unpickles.
"""

from importlib import import_module
from typing import Any

_SB3, _CONTRIB = "stable_baselines3", "sb3_contrib"

MADE = {
    "gymnasium.spaces.box": "Box",
    "gymnasium.spaces.dict": "Dict",
    "gymnasium.spaces.discrete": "Discrete",
    "gymnasium.spaces.multi_binary": "MultiBinary",
    "gymnasium.spaces.multi_discrete": "MultiDiscrete",
    "gymnasium.spaces.tuple": "Tuple",
    f"{_SB3}.common.buffers": "ReplayBuffer DictReplayBuffer NStepReplayBuffer RolloutBuffer DictRolloutBuffer",
    f"{_SB3}.common.noise": "NormalActionNoise OrnsteinUhlenbeckActionNoise VectorizedActionNoise",
    f"{_SB3}.common.running_mean_std": "RunningMeanStd",
    f"{_SB3}.common.type_aliases": "TrainFreq",
    f"{_SB3}.common.utils": "ConstantSchedule FloatSchedule LinearSchedule",
    f"{_SB3}.common.vec_env.vec_normalize": "VecNormalize",
    f"{_SB3}.her.her_replay_buffer": "HerReplayBuffer",
    "rl_zoo3.utils": "SimpleLinearSchedule",
    "sb3_fpac.buffers.frame_pool": "FramePool",
    "sb3_fpac.buffers.frame_replay_buffer": "FrameReplayBuffer",
    "sb3_fpac.buffers.frame_store": "FrameStore",
    "sb3_fpac.buffers.her_frame_replay_buffer": "HerFrameReplayBuffer",
    "sb3_fpac.features.pretrained": "PretrainedPoints",
    "sb3_fpac.observations.layout": "Layout",
}
"""Classes by module: instances are made without calling the constructor, and get their attributes"""

CALLED = {
    "collections": "OrderedDict deque",
    f"{_SB3}.common.type_aliases": "TrainFrequencyUnit",
    f"{_SB3}.her.goal_selection_strategy": "GoalSelectionStrategy",
    "torch": "device",
}
"""Classes by module that are called with any arguments"""

MENTIONED = {
    f"{_SB3}.common.policies": "ActorCriticPolicy ActorCriticCnnPolicy MultiInputActorCriticPolicy",
    f"{_SB3}.common.sb2_compat.rmsprop_tf_like": "RMSpropTFLike",
    f"{_SB3}.common.torch_layers": "CombinedExtractor FlattenExtractor NatureCNN",
    f"{_SB3}.dqn.policies": "CnnPolicy DQNPolicy MultiInputPolicy",
    f"{_SB3}.sac.policies": "CnnPolicy MultiInputPolicy SACPolicy",
    f"{_SB3}.td3.policies": "CnnPolicy MultiInputPolicy TD3Policy",
    f"{_CONTRIB}.common.maskable.policies": "MaskableActorCriticPolicy MaskableActorCriticCnnPolicy "
    "MaskableMultiInputActorCriticPolicy",
    f"{_CONTRIB}.common.recurrent.buffers": "RecurrentDictRolloutBuffer RecurrentRolloutBuffer",
    f"{_CONTRIB}.common.recurrent.policies": "RecurrentActorCriticPolicy RecurrentActorCriticCnnPolicy "
    "RecurrentMultiInputActorCriticPolicy",
    f"{_CONTRIB}.crossq.policies": "CrossQPolicy",
    f"{_CONTRIB}.qrdqn.policies": "CnnPolicy MultiInputPolicy QRDQNPolicy",
    f"{_CONTRIB}.tqc.policies": "CnnPolicy MultiInputPolicy TQCPolicy",
    "sb3_fpac.features.combined_extractor": "FeaturePointCombinedExtractor",
    "sb3_fpac.features.extractor": "FeaturePointExtractor",
    "sb3_fpac.features.pixel_extractor": "PixelExtractor",
    "sb3_fpac.policies.policies": "FPACPolicy FPACTQCPolicy SACCnnPolicy SACMultiInputPolicy TQCCnnPolicy TQCMultiInputPolicy",
    "torch.nn.modules.activation": "CELU ELU GELU Hardswish Hardtanh LeakyReLU Mish ReLU SELU Sigmoid SiLU Softplus Tanh",
    "torch.optim.adam": "Adam",
    "torch.optim.adamax": "Adamax",
    "torch.optim.adamw": "AdamW",
    "torch.optim.nadam": "NAdam",
    "torch.optim.radam": "RAdam",
    "torch.optim.rmsprop": "RMSprop",
    "torch.optim.sgd": "SGD",
    "numpy": "bool bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 ndarray",
    "numpy.random._pcg64": "PCG64",
    "numpy.random.bit_generator": "SeedSequence",
}
"""Classes by module that stand for themselves, such as that of a policy: they are not called while a file is read"""


def find(module: str, name: str) -> tuple[Any, dict[str, str]] | None:
    """
    Look up a class on the lists.

    :param module: Its module
    :param name: Its name
    :return: The class and its list; None if it is on none
    """
    for names in (MADE, CALLED, MENTIONED):
        if name in names.get(module, "").split():
            return getattr(import_module(module), name), names
    return None
