import torch

from training.network.layers import GeM, L2Norm, build_aggregation


def test_gem_agrees_with_explicit_loops() -> None:
    torch.manual_seed(0)
    maps = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    for p in (1.0, 3.0, 4.5):
        pooled = GeM(p).double()(maps)
        assert pooled.shape == (2, 3, 1, 1)
        for image in range(2):
            for channel in range(3):
                values = [max(value, 1e-6) ** p for value in maps[image, channel].flatten().tolist()]
                expected = (sum(values) / len(values)) ** (1 / p)
                torch.testing.assert_close(pooled[image, channel, 0, 0].item(), expected)


def test_gem_exponent_starts_at_3() -> None:
    (p,) = GeM().parameters()
    assert p.tolist() == [3.0]


def test_gem_gradients_are_finite_for_zeros_in_16_bits() -> None:
    gem = GeM()
    maps = torch.zeros(1, 2, 3, 3, dtype=torch.float16, requires_grad=True)
    gem(maps).sum().backward()
    assert gem.p.grad is not None
    assert torch.isfinite(gem.p.grad).all()
    assert maps.grad is not None
    assert torch.isfinite(maps.grad).all()


def test_l2norm_normalises_along_channels() -> None:
    maps = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1).expand(1, 2, 2, 2)
    assert torch.allclose(L2Norm()(maps)[0, :, 1, 1], torch.tensor([0.6, 0.8]))


def test_aggregation_returns_unit_descriptors() -> None:
    descriptors = build_aggregation(6, 4)(torch.rand(5, 6, 3, 2))
    assert descriptors.shape == (5, 4)
    torch.testing.assert_close(descriptors.norm(dim=1), torch.ones(5))
