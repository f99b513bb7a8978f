"""Mixed text for measurements: public-domain English and Chinese, program code of this repository, emoji."""
import pathlib
import random

ENGLISH = """Alice was beginning to get very tired of sitting by her sister on the bank, and of having nothing to do: once or twice she had peeped into the book her sister was reading, but it had no pictures or conversations in it, "and what is the use of a book," thought Alice "without pictures or conversations?"
So she was considering in her own mind (as well as she could, for the hot day made her feel very sleepy and stupid), whether the pleasure of making a daisy-chain would be worth the trouble of getting up and picking the daisies, when suddenly a White Rabbit with pink eyes ran close by her.
It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in want of a wife. However little known the feelings or views of such a man may be on his first entering a neighbourhood, this truth is so well fixed in the minds of the surrounding families, that he is considered the rightful property of some one or other of their daughters.
"My dear Mr. Bennet," said his lady to him one day, "have you heard that Netherfield Park is let at last?" Mr. Bennet replied that he had not. "But it is," returned she; "for Mrs. Long has just been here, and she told me all about it."
Call me Ishmael. Some years ago - never mind how long precisely - having little or no money in my purse, and nothing particular to interest me on shore, I thought I would sail about a little and see the watery part of the world. It is a way I have of driving off the spleen and regulating the circulation.
Whenever I find myself growing grim about the mouth; whenever it is a damp, drizzly November in my soul; whenever I find myself involuntarily pausing before coffin warehouses, and bringing up the rear of every funeral I meet, then, I account it high time to get to sea as soon as I can.
It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, it was the epoch of belief, it was the epoch of incredulity, it was the season of Light, it was the season of Darkness, it was the spring of hope, it was the winter of despair.
To Sherlock Holmes she is always the woman. I have seldom heard him mention her under any other name. In his eyes she eclipses and predominates the whole of her sex. It was not that he felt any emotion akin to love for Irene Adler.
When in the Course of human events, it becomes necessary for one people to dissolve the political bands which have connected them with another, and to assume among the powers of the earth, the separate and equal station to which the Laws of Nature and of Nature's God entitle them, a decent respect to the opinions of mankind requires that they should declare the causes which impel them to the separation.
Four score and seven years ago our fathers brought forth on this continent, a new nation, conceived in Liberty, and dedicated to the proposition that all men are created equal. Now we are engaged in a great civil war, testing whether that nation, or any nation so conceived and so dedicated, can long endure.
No one would have believed in the last years of the nineteenth century that this world was being watched keenly and closely by intelligences greater than man's and yet as mortal as his own; that as men busied themselves about their various concerns they were scrutinised and studied.
The mass of men lead lives of quiet desperation. What is called resignation is confirmed desperation. From the desperate city you go into the desperate country, and have to console yourself with the bravery of minks and muskrats.
You will rejoice to hear that no disaster has accompanied the commencement of an enterprise which you have regarded with such evil forebodings. I arrived here yesterday; and my first task is to assure my dear sister of my welfare, and increasing confidence in the success of my undertaking.
In 1895, about 3.5 million people (roughly 7%) had moved; 1,234,567 stayed, and 42 of them didn't care, couldn't say, or wouldn't tell: "We're fine, they've gone."
"""

CHINESE = """道可道，非常道。名可名，非常名。无名天地之始；有名万物之母。故常无欲，以观其妙；常有欲，以观其徼。此两者，同出而异名，同谓之玄。玄之又玄，众妙之门。
天下皆知美之为美，斯恶已。皆知善之为善，斯不善已。有无相生，难易相成，长短相形，高下相盈，音声相和，前后相随。恒也。是以圣人处无为之事，行不言之教；万物作而弗始，生而弗有，为而弗恃，功成而弗居。
上善若水。水善利万物而不争，处众人之所恶，故几于道。居善地，心善渊，与善仁，言善信，政善治，事善能，动善时。夫唯不争，故无尤。
话说天下大势，分久必合，合久必分。周末七国分争，并入于秦。及秦灭之后，楚、汉分争，又并入于汉。汉朝自高祖斩白蛇而起义，一统天下，后来光武中兴，传至献帝，遂分为三国。
子曰：学而时习之，不亦说乎？有朋自远方来，不亦乐乎？人不知而不愠，不亦君子乎？曾子曰：吾日三省吾身，为人谋而不忠乎？与朋友交而不信乎？传不习乎？
孙子曰：兵者，国之大事，死生之地，存亡之道，不可不察也。故经之以五事，校之以计，而索其情：一曰道，二曰天，三曰地，四曰将，五曰法。
大学之道，在明明德，在亲民，在止于至善。知止而后有定；定而后能静；静而后能安；安而后能虑；虑而后能得。物有本末，事有终始。知所先后，则近道矣。
北冥有鱼，其名为鲲。鲲之大，不知其几千里也；化而为鸟，其名为鹏。鹏之背，不知其几千里也；怒而飞，其翼若垂天之云。
此开卷第一回也。作者自云：因曾历过一番梦幻之后，故将真事隐去，而借通灵之说，撰此石头记一书也。
盘古开天辟地，三皇治世，五帝定伦，世界之间，遂分为四大部洲：曰东胜神洲，曰西牛贺洲，曰南赡部洲，曰北俱芦洲。
"""

EMOJI = """🙂🎉 let's celebrate 🥳🥳 with 🍰 and ☕!
👩‍💻 ships 🚀, 👨‍👩‍👧‍👦 waves 👋🏽, 🇫🇷🇯🇵 cheer.
❤️‍🔥 100% 💯 ✅ done, ⚠️ careful 😅😂🤣
"""


def mixed(size, seed=1):
    """`size` bytes of lines: two fifths English, one third code, one fifth Chinese, the rest emoji."""
    root = pathlib.Path(__file__).resolve().parents[2]
    # Hugging Face's library reads control tokens wherever they stand; ours only where it is asked to.
    code = [line.replace("<|", "< |") for path in sorted(root.glob("crates/realizar-tokenize/src/**/*.rs"))
            if "generated" not in path.name for line in path.read_text(encoding="utf-8").splitlines()]
    # Several lines of code together, as they stand; sentences of prose one by one.
    blocks = ["\n".join(code[at:at + 12]) + "\n" for at in range(0, len(code), 12)]
    sentences = [part + ". " for line in ENGLISH.splitlines() for part in line.split(". ")]
    phrases = [part + "。" for line in CHINESE.splitlines() for part in line.split("。") if part]
    emoji = [line + "\n" for line in EMOJI.splitlines()]
    rng = random.Random(seed)
    out, total = [], 0
    while total < size:
        kind = rng.choices((sentences, blocks, phrases, emoji), weights=(40, 8, 42, 10))[0]
        piece = rng.choice(kind)
        out.append(piece)
        total += len(piece.encode())
    return "".join(out)


def documents(text, size=10_000):
    """The text in pieces of about `size` characters."""
    return [text[at:at + size] for at in range(0, len(text), size)]


if __name__ == "__main__":
    import sys
    pathlib.Path(sys.argv[1]).write_text(mixed(int(sys.argv[2])), encoding="utf-8")
