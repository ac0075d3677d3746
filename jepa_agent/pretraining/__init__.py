"""Image and video JEPA pretraining: encoders for images without labels (extra `pretrain`)."""
