"""Trained models as files for other programs: ONNX, safetensors, torch, Hugging Face."""
