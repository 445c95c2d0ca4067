"""What people are told of the presets before they choose."""

from trainer.presets.about import reached


def test_what_presets_came_to_is_told_of_images_like_theirs() -> None:
    said = reached(grey=False)
    assert said == (
        "r3gan-cpu 0.075, stylegan-lite-cpu 0.077, dcgan-cpu 0.080, progressive-cpu 0.107 on OpenMoji at 32x32"
    )
    assert reached(grey=True).startswith("infogan 0.007, cgan 0.009")
    assert reached(grey=True).endswith(" on digits")
