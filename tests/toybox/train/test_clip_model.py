import json

import numpy as np
import pytest
import torch

from mmrank.toybox.drawing import draw
from mmrank.toybox.grammar import sample_scenes
from mmrank.toybox.train.clip_batches import shrink
from mmrank.toybox.train.clip_model import CONFIG_FILE, export, load, new_model, pixels, tokens


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    torch.set_num_threads(1)
    model = new_model(3).eval()
    folder = tmp_path_factory.mktemp("model")
    export(model, folder)
    return model, folder


def test_open_clip_loads_it_and_gives_the_same_vectors(exported) -> None:
    model, folder = exported
    loaded, preprocess = load(folder)
    drawn = [draw(scene, 160) for scene in sample_scenes(4, 0)]
    ours = pixels(np.stack([np.asarray(shrink(picture)) for picture in drawn]))
    theirs = torch.stack([preprocess(picture) for picture in drawn])
    assert torch.allclose(ours, theirs, atol=1e-5), "open_clip's preprocessing is not the training's"
    with torch.inference_mode():
        for name, given in (("encode_image", ours), ("encode_text", tokens(["a dog", "a cat on red ground"]))):
            first = getattr(model, name)(given, normalize=True)
            second = getattr(loaded, name)(given, normalize=True)
            assert torch.allclose(first, second, atol=5e-3), "float16 weights move the vectors too far"


def test_the_folder_says_all_that_is_needed(exported) -> None:
    _, folder = exported
    config = json.loads((folder / CONFIG_FILE).read_text())
    assert set(config) == {"model_cfg", "preprocess_cfg"}
    assert config["preprocess_cfg"]["resize_mode"] == "squash"


def test_weights_follow_from_the_seed() -> None:
    first, second = new_model(1).state_dict(), new_model(1).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_size(exported) -> None:
    model, _ = exported
    assert sum(parameter.numel() for parameter in model.parameters()) < 8_000_000
