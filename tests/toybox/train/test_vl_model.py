import pytest
import torch
from PIL import Image
from transformers import Qwen2VLImageProcessor, Qwen3VLForConditionalGeneration, Qwen3VLProcessor

from mmrank.toybox.grammar import GROUNDS
from mmrank.toybox.sprites import object_names
from mmrank.toybox.train.vl_model import export, load, new_model, new_processor, new_tokenizer
from mmrank.toybox.train.vl_pictures import IMAGE_SIDE
from mmrank.toybox.train.vl_words import LETTERS, MOST_NUMBERS

TOKENIZER = new_tokenizer()


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    torch.set_num_threads(1)
    model = new_model(TOKENIZER, 3).eval()
    folder = tmp_path_factory.mktemp("vl") / "model"
    export(model, new_processor(), folder)
    return model, folder


def test_answers_labels_and_words_are_single_tokens() -> None:
    answers = ["yes", "no", *LETTERS, *map(str, range(1, MOST_NUMBERS + 1))]
    words = [f" {part}" for word in (*answers, *GROUNDS, *object_names()) for part in word.split()]
    for word in (*answers, *words):
        assert len(TOKENIZER.encode(word, add_special_tokens=False)) == 1, word


def test_any_text_comes_back() -> None:
    text = "Größe: 12,5 µm → ok?\n\n[10] > [2]\tтест 猫"
    assert TOKENIZER.decode(TOKENIZER.encode(text, add_special_tokens=False)) == text


def test_a_label_keeps_its_token_after_pictures_and_texts() -> None:
    ids = TOKENIZER.encode("<|vision_end|>\n10:\n<|vision_start|>", add_special_tokens=False)
    assert TOKENIZER.convert_ids_to_tokens(ids)[1:5] == ["Ċ", "10", ":", "Ċ"]
    assert TOKENIZER.encode("Anna?\nMatch A?\n")[-4:] == TOKENIZER.encode("Match A?\n")


def test_new_models_depend_on_the_seed_only() -> None:
    first, again, other = (new_model(TOKENIZER, seed).lm_head.weight for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_exported_model_loads_with_stock_classes_and_answers_alike(exported) -> None:
    model, folder = exported
    loaded, processor = load(folder)
    assert type(loaded) is Qwen3VLForConditionalGeneration
    assert type(processor) is Qwen3VLProcessor
    assert type(processor.image_processor) is Qwen2VLImageProcessor
    turns = [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Query: a dog\n"},
                {"type": "image", "image": Image.new("RGB", (IMAGE_SIDE, IMAGE_SIDE), "red")},
                {"type": "text", "text": " match?"},
            ],
        }
    ]
    inputs = processor.apply_chat_template(
        [turns], tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )
    shown = processor.tokenizer.decode(inputs["input_ids"][0]).replace("<|image_pad|>" * 16, "(16)")
    assert shown == (
        "<|im_start|>user\nQuery: a dog\n<|vision_start|>(16)<|vision_end|> match?<|im_end|>\n<|im_start|>assistant\n"
    )
    with torch.inference_mode():
        assert torch.allclose(model(**inputs).logits, loaded(**inputs).logits, atol=2e-3)


def test_exported_folder_is_small_and_readable(exported) -> None:
    _, folder = exported
    files = list(folder.iterdir())
    assert sum(path.stat().st_size for path in files) < 15_000_000
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in files)
    assert not list(folder.glob("*.py"))
