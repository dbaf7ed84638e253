"""Episodes, feature points and feature maps as arrays, pictures and videos."""

from sb3_fpac.visualization.agents import encoder_input, feature_names, find_extractor, find_images
from sb3_fpac.visualization.colours import point_colours
from sb3_fpac.visualization.drawing import draw_points, draw_strip, figure_to_array, plot_feature_maps, to_rgb
from sb3_fpac.visualization.episode import Episode, View, record_episode
from sb3_fpac.visualization.ranking import PointRanking, rank_points

__all__ = [
    "Episode",
    "PointRanking",
    "View",
    "draw_points",
    "draw_strip",
    "encoder_input",
    "feature_names",
    "figure_to_array",
    "find_extractor",
    "find_images",
    "plot_feature_maps",
    "point_colours",
    "rank_points",
    "record_episode",
    "to_rgb",
]
