"""Episodes, feature points and feature maps as arrays, pictures and videos."""

from sb3_fpac.visualization.drawing import draw_points, draw_strip, figure_to_array, plot_feature_maps, point_colours, to_rgb
from sb3_fpac.visualization.episode import Episode, encoder_input, find_extractor, record_episode
from sb3_fpac.visualization.ranking import PointRanking, rank_points

__all__ = [
    "Episode",
    "PointRanking",
    "draw_points",
    "draw_strip",
    "encoder_input",
    "figure_to_array",
    "find_extractor",
    "plot_feature_maps",
    "point_colours",
    "rank_points",
    "record_episode",
    "to_rgb",
]
