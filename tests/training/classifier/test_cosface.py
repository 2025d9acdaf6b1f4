import math

import pytest
import torch

from training.classifier.cosface import CosFace
from training.classifier.group_classifier import GroupClassifier


def _logits_by_loops(classifier: CosFace, descriptors: torch.Tensor, class_indices: torch.Tensor) -> list[list[float]]:
    logits = []
    for descriptor, correct in zip(descriptors.tolist(), class_indices.tolist(), strict=True):
        row = []
        for number, weight in enumerate(classifier.weight.tolist()):
            dot = sum(a * b for a, b in zip(descriptor, weight, strict=True))
            cosine = dot / math.hypot(*descriptor) / math.hypot(*weight)
            row.append(30.0 * (cosine - 0.40 if number == correct else cosine))
        logits.append(row)
    return logits


def test_logits_agree_with_explicit_loops() -> None:
    torch.manual_seed(0)
    classifier = CosFace(fc_output_dim=5, num_classes=7).double()
    descriptors, class_indices = torch.randn(4, 5, dtype=torch.float64), torch.tensor([6, 0, 3, 3])
    expected = torch.tensor(_logits_by_loops(classifier, descriptors, class_indices), dtype=torch.float64)
    torch.testing.assert_close(classifier(descriptors, class_indices), expected)


def test_weights_are_xavier_uniform_and_follow_the_seed() -> None:
    weight = GroupClassifier(fc_output_dim=60, num_classes=40, lr=0.01, seed=3).classifier.weight
    bound = math.sqrt(6 / (60 + 40))
    assert weight.shape == (40, 60)
    assert 0.99 * bound < weight.abs().max() <= bound
    assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
    assert torch.equal(weight, GroupClassifier(60, 40, 0.01, seed=3).classifier.weight)
    assert not torch.equal(weight, GroupClassifier(60, 40, 0.01, seed=4).classifier.weight)


def test_to_keeps_weights_and_optimizer_state() -> None:
    classifier = GroupClassifier(4, 3, lr=0.01, seed=0)
    classifier.classifier(torch.ones(1, 4), torch.tensor([0])).sum().backward()
    classifier.optimizer.step()
    before = [value.clone() for value in classifier.optimizer.state[classifier.classifier.weight].values()]
    classifier.to(torch.device("cpu"))
    after = classifier.optimizer.state[classifier.classifier.weight].values()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert classifier.optimizer.param_groups[0]["params"][0] is classifier.classifier.weight
