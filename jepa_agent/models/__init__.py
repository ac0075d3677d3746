"""World models: encoders, predictors, distances, backbones, and the layers that they share."""
