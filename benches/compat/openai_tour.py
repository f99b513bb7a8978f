#!/usr/bin/env python3
"""A tour through the official `openai` client against a running `realizar-cli serve` with the demo model.

    pip install openai
    realizar-cli serve --listen 127.0.0.1:8080 &
    python3 benches/compat/openai_tour.py http://127.0.0.1:8080
"""

import sys

import openai

URL = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"
client = openai.OpenAI(base_url=URL + "/v1", api_key="none needed", max_retries=0, timeout=60)
MODEL = client.models.list().data[0].id
STORY = [{"role": "user", "content": "Once upon a time"}]


def models():
    assert client.models.retrieve(MODEL).id == MODEL
    refused(lambda: client.models.retrieve("none"), openai.NotFoundError, "model_not_found", "model")


def chat():
    answer = client.chat.completions.create(model=MODEL, messages=STORY, max_tokens=12, temperature=0)
    assert answer.id.startswith("chatcmpl-") and answer.object == "chat.completion"
    assert answer.choices[0].message.role == "assistant" and answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 12
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 12
    return answer.choices[0].message.content


def streamed():
    stream = client.chat.completions.create(
        model=MODEL, messages=STORY, max_tokens=12, temperature=0, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == chat(), "streamed and whole answers are the same"
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == 12
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "length"
    assert len({chunk.id for chunk in chunks}) == 1


def helper():
    # The helper refuses answers that end by their length, so this one ends by a stop string.
    whole = chat()
    word = whole.split()[4]
    with client.chat.completions.stream(model=MODEL, messages=STORY, stop=[word], temperature=0) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds, kinds
    assert final.choices[0].message.content == whole[: whole.index(word)]


def seeds_and_choices():
    def ask(**more):
        answer = client.chat.completions.create(model=MODEL, messages=STORY, max_tokens=24, temperature=1.5, **more)
        return [choice.message.content for choice in answer.choices]

    three = ask(seed=7, n=3)
    assert len(set(three)) > 1, "each answer has random numbers of its own"
    assert ask(seed=7, n=3) == three, "and the seed brings them back"
    assert ask(seed=7) == three[:1], "the first does not depend on how many there are"


def stops():
    whole = chat()
    word = whole.split()[2]
    answer = client.chat.completions.create(model=MODEL, messages=STORY, max_tokens=12, temperature=0, stop=[word])
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content == whole[: whole.index(word)]


def logprobs():
    answer = client.chat.completions.create(
        model=MODEL, messages=STORY, max_tokens=6, temperature=0, logprobs=True, top_logprobs=3
    )
    content = answer.choices[0].logprobs.content
    assert b"".join(bytes(token.bytes) for token in content).decode() == answer.choices[0].message.content
    for token in content:
        assert len(token.top_logprobs) == 3 and token.logprob <= 0
        assert token.top_logprobs[0].logprob == token.logprob, "greedy takes the best"


def bias():
    answer = client.chat.completions.create(
        model=MODEL, messages=STORY, max_tokens=1, temperature=0, logprobs=True, top_logprobs=1
    )
    first = answer.choices[0].logprobs.content[0].model_extra["id"]
    other = client.chat.completions.create(
        model=MODEL, messages=STORY, max_tokens=1, temperature=0, logprobs=True, logit_bias={str(first): -100}
    )
    assert other.choices[0].logprobs.content[0].model_extra["id"] != first


def completions():
    answer = client.completions.create(model=MODEL, prompt=["Once", "The cat"], max_tokens=4, temperature=0, echo=True)
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert answer.choices[1].text.startswith("The cat")
    stream = client.completions.create(model=MODEL, prompt="Once", max_tokens=4, temperature=0, stream=True)
    text = "Once" + "".join(chunk.choices[0].text for chunk in stream)
    assert text == answer.choices[0].text
    scored = client.completions.create(model=MODEL, prompt="Once", max_tokens=2, temperature=0, logprobs=2)
    assert len(scored.choices[0].logprobs.tokens) == 2 and len(scored.choices[0].logprobs.top_logprobs[0]) == 2


def refused(call, error, code, param):
    try:
        call()
    except error as refusal:
        assert (refusal.code, refusal.param) == (code, param), refusal
        assert refusal.request_id, "every answer has an id"
    else:
        raise AssertionError(f"{code}: not refused")


def errors():
    def ask(**more):
        return lambda: client.chat.completions.create(**{"model": MODEL, "messages": STORY, **more})

    refused(ask(temperature=3), openai.BadRequestError, "invalid_value", "temperature")
    refused(ask(messages=[]), openai.BadRequestError, "invalid_value", "messages")
    refused(ask(model="gpt-5"), openai.NotFoundError, "model_not_found", "model")
    refused(ask(n=1000), openai.BadRequestError, "invalid_value", "n")
    refused(ask(tools=[{"type": "function", "function": {"name": "f"}}]), openai.BadRequestError, "unsupported", "tools")
    long = [{"role": "user", "content": "word " * 5000}]
    refused(ask(messages=long), openai.BadRequestError, "context_length_exceeded", "messages")
    embed = lambda: client.embeddings.create(model=MODEL, input="x")
    refused(embed, openai.BadRequestError, "no_embeddings", "input")


TOUR = [models, chat, streamed, helper, seeds_and_choices, stops, logprobs, bias, completions, errors]
for stop in TOUR:
    stop()
    print("ok", stop.__name__)
print(f"all {len(TOUR)} stops with openai {openai.__version__}")
