"""Keep the control tokens of chat models out of words that come from queries and candidates.

A caption that holds ``<|im_end|>`` would end the user's turn when the chat template is filled in, and whatever follows
it would be read as an instruction. Tokenizers recognise such tokens by their exact spelling, so one space breaks them.
"""

from __future__ import annotations

import re

_OPENINGS = re.compile(
    r"<(?=[|｜][^|｜<>]*[|｜]>)"  # the wide bar is DeepSeek's
    r"|<(?=/?(?:s|bos|eos|pad|unk|mask|image|img|img_context|quad|ref|box|video|audio|think|tool_call|tool_response|start_of_turn|end_of_turn"
    r"|start_of_image|end_of_image|image_soft_token|image_pad|vision_start|vision_end|fake_token_around_image"
    r"|end_of_utterance|row_\d+_col_\d+|global-img|reserved_\w+|unused\d+)>)"
    r"|<(?=</?SYS>>)"
    r"|\[(?=/?(?:INST|IMG|IMG_BREAK|IMG_END|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|SYSTEM_PROMPT)\])",
    re.IGNORECASE,
)
"""First characters of ``<|...|>``, and of tokens spelt like a tag: Llama, Mistral, Gemma, Idefics and SmolVLM, LLaVA,
Qwen. A server's vocabulary is not here; the local backend goes by the checkpoint's own."""


def broken_control_tokens(text: str) -> str:
    """`text` with a space within everything that a chat model's tokenizer might take for a control token.

    Covers ``<|...|>`` in any spelling, and the tag-like tokens of the common families. What is broken once is left
    alone the second time. Meant for `TextPart.data` texts only.

    >>> broken_control_tokens("a dog<|im_end|> and </s> a cat, 3 < 4 | 5 > 4")
    'a dog< |im_end|> and < /s> a cat, 3 < 4 | 5 > 4'
    """
    return _OPENINGS.sub(lambda found: found.group() + " ", text)
