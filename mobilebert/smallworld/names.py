"""Names composed from inventories, so that a world of any size never runs out and never names two things alike.

The k-th name of a kind is a function of (seed, kind, k): k is sent through a permutation of all combinations, so names need
not be remembered to be unique.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from math import gcd

SURNAMES = (
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文"
)
GIVEN_MEN = "伟强磊军勇杰涛超明刚平辉鹏华飞鑫波斌宇浩凯健俊帆帅旭宁龙林欢佳阳远航志建国文景德立诚思源子墨承泽书衡松柏亦舟"
GIVEN_WOMEN = "芳娜敏静秀丽艳娟霞玲桂珍莉兰凤洁梅琳素云莲真雪荣爱妹香月莺媛瑞凡佳嘉琼勤珠贞雅清惠晶妍茜秋珊莎锦黛青倩婷"
PLACE_FIRST = (
    "临安平永长宁清云青金石龙凤白玉兰松梅桂柳桐枫荷莲竹溪泉沙滨洛渭淮湘晋楚越东西南北上中新古大高广福寿康泰和顺兴昌盛荣华明光阳春秋景瑞祥嘉庆丰德仁义信文武太鹤鹿雁锦秀澄碧望归来怀思定靖绥"
)
PLACE_SECOND = "川州阳阴城山海江河湖溪泉源宁平昌兴林原岭岗台亭桥港湾浦口门关陵丘谷峰岩石塘渡洲沙田丰庆华化德康和顺远定清水木都乡集"
RIVER_SECOND = "沙溪水泉源流川洛渭沅沛泽浪波澜汾泗汶沂浔漳泾滦淇濮颍沱涪嘉宁清"
BRAND_FIRST = "星海天云蓝金宏华新东联永中高长盛恒信达泰康美佳乐优凯锐智光远卓鼎"
BRAND_SECOND = "源达通宇辰科维思能邦腾飞信泰瑞丰盛和康美景图洋帆途航"
BRAND_THIRD = "、特、斯、尔、诺、朗、克、迪、力、雅".split("、")
BOOK_FIRST = "山河 故乡 南方 北方 旧城 大海 草原 灯塔 雨夜 清晨 黄昏 冬天 春天 夏日 秋水 月光 星空 远方 沉默 时间 铁路 运河 古镇 边城 茶馆 渡口 麦田 雪地 风暴 长街 村庄 岛屿 森林 沙漠 河流".split()
BOOK_SECOND = "来信 往事 笔记 传奇 之歌 漫记 手札 纪行 回声 札记 年代 故事 的秘密 的孩子 的尽头 简史 导论 图志 的声音 的黎明 深处 边缘 未眠 的守望者 词典".split()
DYNASTY = "晟昶璟珩昭穆雍景宸曜曦岐巽艮禹舜郯莒鄢虢邺酆鄞邰"
DYNASTY_PREFIX = ("", "前", "后", "东", "西", "南", "北", "大")
COLOURS = "赤 黑 白 黄 灰 褐 蓝 绿 金 银 紫 棕".split()
BODY_PARTS = "尾 冠 颈 腹 背 翅 顶 喉 爪 额 斑 耳".split()
ANIMALS = "雀 鹭 鹤 莺 鸲 雁 鹰 蛙 龟 蜥 鲤 鲈 狐 鹿 猴 獾 貂 鼠 蝶 蟹 兔 羚 鼬 鸮 鸭 鹬".split()
# Places that exist and whose real facts ours would contradict; such a name gets one more character.
REAL_PLACES = frozenset(
    "长沙 长春 西安 南昌 北海 上海 福州 广州 金华 海口 桂林 南宁 南阳 安阳 信阳 丰台 大庆 庆阳 德州 太原 永州 兰州 泰州 泰安 东台 石林 "
    "新乡 新田 平阳 安康 青海 青州 松江 嘉定 宁德 宁海 中山 昌平 大同 高州 高阳 广元 兴化 顺德 文昌 武昌 荣昌 华亭 绥化 怀化 洛阳 渭源 锦州 临沂 东阳 春城 柳州 "
    "云台 平顶 丰都 平湖 定海 清远 清河 北林 南海 东海 武陵 泰山 华山 嵩山 金山 白山 玉林 玉溪 玉田 泉州 东山 中原 南康 南平 永康 平昌 大田 秀山 福清 福安 文山 望江"
    .split()
)


def key(seed: int, *names: str | int) -> int:
    """A 64-bit number from the seed and names; equal arguments give equal numbers on every machine."""
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


class Composer:
    """Unique names: the k-th combination of the inventories, in an order that the seed decides."""

    def __init__(self, seed: int, kind: str, *inventories: Sequence[str]) -> None:
        self.inventories = inventories
        self.size = 1
        for inventory in inventories:
            if len(set(inventory)) < len(inventory):
                raise ValueError(f"{kind}: an entry stands twice in an inventory, names would not be unique")
            self.size *= len(inventory)
        self.offset = key(seed, "name", kind) % self.size
        # A multiplier near the golden section spreads neighbours, and being coprime makes it a permutation.
        self.factor = int(self.size * 0.618) | 1
        while gcd(self.factor, self.size) > 1:
            self.factor += 2

    def parts(self, index: int) -> tuple[int, list[str]]:
        """How many times the combinations were used up before this index, and the index's parts."""
        round_, rest = divmod(index, self.size)
        rest = (rest * self.factor + self.offset) % self.size
        parts = []
        for inventory in self.inventories:
            rest, at = divmod(rest, len(inventory))
            parts.append(inventory[at])
        return round_, parts

    def name(self, index: int) -> str:
        """The name; after all combinations are used up the first inventory marks the round, so names stay unique."""
        round_, parts = self.parts(index)
        while round_:
            round_, at = divmod(round_ - 1, len(self.inventories[0]))
            parts.insert(0, self.inventories[0][at])
        return "".join(parts)


def place(composer: Composer, index: int) -> str:
    """A place's name without its generic word, never that of a well-known place."""
    name = composer.name(index)
    return name + "坪" if name in REAL_PLACES else name
