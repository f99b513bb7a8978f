#!/usr/bin/env python3
"""Chat templates through ours and through Jinja2, set up as `apply_chat_template` does: every difference is printed.

    pip install jinja2
    cargo build --release -p realizar-engine --example render
    python3 benches/compat/templates.py --program target/release/examples/render FILE...

FILE is a template (`chat_template.jinja`) or a `tokenizer_config.json` that holds one. A template that refuses a
conversation has to refuse it in both. The exit code is 1 if anything differs.
"""
import argparse
import datetime
import json
import pathlib
import subprocess
import sys

import jinja2.ext
import jinja2.sandbox

NOW = 1_764_300_000
WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather of a town, \"now\" & <here>.",
    "parameters": {"type": "object", "required": ["town"], "properties": {
        "town": {"type": "string", "description": "Name, e.g. Zürich"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
        "days": {"type": "array", "items": {"type": "integer"}, "nullable": True}}}}}
CALL = {"id": "abcdef123", "type": "function",
        "function": {"name": "get_weather", "arguments": {"town": "Zürich", "days": [1, 2], "deep": {"a": None, "b": 1.5}}}}


def said(role, content, **more):
    return {"role": role, "content": content, **more}


CHATS = {
    "question": [said("user", "Hi there")],
    "system": [said("system", "  Be brief.\n"), said("user", "Hi")],
    "turns": [said("system", "You're <kind> & 'good'."), said("user", "Hi {{ x }} {% y %}"), said("assistant", " Hello!\n"),
              said("user", "Ça va? 你好 😀"), said("assistant", "Oui."), said("user", "Bye\n\n")],
    "thinking": [said("user", "1+1?"), said("assistant", "<think>\nOne and one.\n</think>\n\n2"), said("user", "2+2?")],
    "reasoning": [said("user", "1+1?"), said("assistant", "2", reasoning_content="One and one."), said("user", "2+2?")],
    "call": [said("user", "Weather?"), said("assistant", "", tool_calls=[CALL]),
             said("tool", "{\"degrees\": 21}", name="get_weather", tool_call_id="abcdef123"), said("user", "Thanks")],
    "two calls": [said("system", "S"), said("user", "Weather?"), said("assistant", "Let me see.", tool_calls=[CALL, CALL]),
                  said("tool", "21", name="get_weather", tool_call_id="abcdef123"),
                  said("tool", "22", name="get_weather", tool_call_id="abcdef123")],
    "assistant first": [said("assistant", "Hello"), said("user", "Hi")],
    "assistant last": [said("user", "Hi"), said("assistant", "Hel")],
    "odd role": [said("developer", "Be brief."), said("user", "Hi")],
    "nothing": [],
}
EXTRAS = {
    "": {},
    "tools": {"tools": [WEATHER]},
    "thinking on": {"enable_thinking": True},
    "thinking off": {"enable_thinking": False},
    "effort": {"reasoning_effort": "high", "tools": [WEATHER, WEATHER]},
    "documents": {"documents": [{"title": "T", "text": "Some text", "doc_id": 1}]},
}


class Generation(jinja2.ext.Extension):
    """`{% generation %}` marks what the assistant wrote, for training; its text stands as it is."""
    tags = {"generation"}

    def parse(self, parser):
        next(parser.stream)
        return parser.parse_statements(["name:endgeneration"], drop_needle=True)


def refuse(message):
    raise jinja2.exceptions.TemplateError(message)


def to_json(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def theirs(case):
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    environment.filters["tojson"] = to_json
    environment.globals["raise_exception"] = refuse
    now = datetime.datetime.fromtimestamp(case["now"], datetime.timezone.utc)
    environment.globals["strftime_now"] = now.strftime
    try:
        template = environment.from_string(case["template"])
        return {"text": template.render(
            messages=case["messages"], add_generation_prompt=case["add_generation_prompt"], bos_token=case["bos"],
            eos_token=case["eos"], **case["extra"])}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def template_of(file):
    text = file.read_text(encoding="utf-8")
    if file.suffix != ".json":
        return text
    found = json.loads(text).get("chat_template")
    if isinstance(found, list):
        found = next(row["template"] for row in found if row["name"] == "default")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--show", type=int, default=3)
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    args = parser.parse_args()
    total = 0
    for file in args.files:
        template = template_of(file)
        cases = [({"template": template, "messages": messages, "extra": extra, "add_generation_prompt": prompt,
                   "bos": "<s>", "eos": "</s>", "now": NOW}, f"{chat}, {name or 'plain'}, prompt {prompt}")
                 for chat, messages in CHATS.items() for name, extra in EXTRAS.items() for prompt in (False, True)]
        lines = "".join(json.dumps(case) + "\n" for case, _ in cases)
        run = subprocess.run([args.program], input=lines.encode(), stdout=subprocess.PIPE, check=True)
        wrong = refused = 0
        for (case, name), line in zip(cases, run.stdout.splitlines(), strict=True):
            ours, wanted = json.loads(line), theirs(case)
            refused += "error" in wanted
            if ours == wanted or ("error" in ours and "error" in wanted):
                continue
            wrong += 1
            if wrong <= args.show:
                print(f"  {name}\n    ours {ascii(ours)}\n    its  {ascii(wanted)}")
        total += wrong
        print(f"{file.name}: {len(cases)} conversations, {refused} refused, {wrong} differ", flush=True)
    sys.exit(total > 0)


if __name__ == "__main__":
    main()
