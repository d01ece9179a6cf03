"""Prints the model card's 20 sample conversations: fixed user turns, greedy replies, nothing edited.

python samples.py ../../models/millrace-tiny"""

import argparse
from pathlib import Path

from tokenizers import Tokenizer

from generate import Chat
from weights import load_model

CONVERSATIONS = [
    ["Hello!", "What is your name?", "What can you do?"],
    ["Hi, my name is Clara.", "What is the capital of Japan?", "What is my name?"],
    ["What is the capital of Peru?", "And of Norway?"],
    ["What is 347 + 285?"],
    ["what is 12 * 7"],
    ["Tom has 23 apples and gives away 8. How many apples are left?"],
    ["Tell me a short story about a brave mouse."],
    ["Tell me a story about a robot by the sea.", "What was the name of the robot?"],
    ["Write a poem about the moon."],
    ["Tell me a joke.", "Another joke, please."],
    ["I am sad."],
    ["Sort these numbers: 42, 7, 19, 88."],
    ["Which word does not belong: apple, pear, hammer, plum?"],
    ["Make a JSON record with: name Rosa, age 31, city Lima."],
    ["If today is Tuesday, what day is it in 4 days?"],
    ["What is a young cow called?", "And a young dog?"],
    ["Anna is older than Ben. Ben is older than Cara. Who is the youngest?"],
    ["Explain quantum computing."],
    ["What is Millrace?"],
    ["How many minutes are in 3 hours?", "Thank you!", "Bye!"],
]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    chat = Chat(load_model(folder), Tokenizer.from_file(str(folder / "tokenizer.json")))
    for number, turns in enumerate(CONVERSATIONS, 1):
        messages: list[dict] = []
        print(f"### {number}\n")
        for turn in turns:
            messages.append({"role": "user", "content": turn})
            reply = chat.reply(messages)
            messages.append({"role": "assistant", "content": reply})
            print(f"> {turn}\n")
            print(f"```\n{reply}\n```\n")


if __name__ == "__main__":
    main()
