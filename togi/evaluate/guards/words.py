"""Word lists of the multiple-choice guard; written for togi, public domain (CC0-1.0)."""

from __future__ import annotations

PAIRS: dict[str, dict[str, tuple[str, str]]] = {
    "opposites": {
        "plain": (
            "The opposite of {} is",
            "hot cold, shallow deep, ancient modern, guilty innocent, rough smooth, bitter sweet, "
            "stale fresh, generous mean, absent present, loose tight",
        ),
        "contrast": (
            "It was not {} at all; on the contrary, it was very",
            "tidy messy, simple complicated, harmless dangerous, cheap expensive, humble proud, "
            "boring interesting, timid bold, rare common, blunt sharp",
        ),
        "verbs": (
            "To do the opposite of what you do when you {} is to",
            "arrive leave, buy sell, win lose, push pull, remember forget, start stop, "
            "rise fall, laugh cry, build destroy",
        ),
    },
    "facts": {
        "capital": (
            "The capital of {} is",
            "France Paris, Finland Helsinki, Hungary Budapest, Norway Oslo, Kenya Nairobi, "
            "Peru Lima, Turkey Ankara, Morocco Rabat, Latvia Riga, Nepal Kathmandu",
        ),
        "language": (
            "Most people who live in {} speak",
            "Brazil Portuguese, Mexico Spanish, Senegal French, Iran Persian, Israel Hebrew, "
            "Egypt Arabic, Austria German, Jamaica English",
        ),
        "continent": (
            "The country of {} lies in",
            "Kenya Africa, Peru South_America, India Asia, Norway Europe, Nigeria Africa, "
            "Canada North_America, Vietnam Asia, Portugal Europe",
        ),
        "colour": (
            "Everyone knows that the colour of {} is",
            "snow white, blood red, grass green, coal black, chocolate brown, a_ripe_lemon yellow, "
            "the_clear_sky blue, an_elephant grey",
        ),
        "sound": (
            "When you come near it, a {} begins to",
            "dog bark, cat meow, lion roar, cow moo, bee buzz, snake hiss, duck quack",
        ),
    },
    "kinds": {
        "kind": (
            "A {} is a kind of",
            "wren bird, pike fish, chisel tool, primrose flower, larch tree, lute instrument, "
            "cardigan clothing, hornet insect, turnip vegetable, quince fruit, viper snake",
        ),
        "part": (
            "You will find a {} on every",
            "saddle bicycle, sail ship, chimney roof, keyboard computer, trunk elephant, "
            "cockpit plane, spine book, sleeve shirt",
        ),
        "use": (
            "Somebody who needs to {} should use a",
            "cut_paper pair_of_scissors, sweep_the_floor broom, tell_the_time clock, "
            "open_a_locked_door key, dig_a_hole shovel, dry_wet_hair towel, "
            "see_the_stars telescope, sew_on_a_button needle",
        ),
        "work": (
            "The person whose job is to {} is a",
            "treat_sick_people doctor, teach_children teacher, bake_bread baker, "
            "put_out_fires firefighter, fly_planes pilot, grow_crops farmer, cut_hair barber, "
            "catch_thieves policeman",
        ),
    },
}
"""Category -> template -> (beginning, pairs); the wrong endings are the other pairs' answers.

Pairs are parted by commas, the two halves by a space; an underscore stands for a space.
"""

SUMS: dict[str, tuple[str, str]] = {
    "plus": ("{} + {} =", "2+3 4+4 7+2 5+6 8+7 9+6 12+5 14+8"),
    "minus": ("{} - {} =", "5-2 9-4 8-5 10-7 12-4 15-6 18-9 20-3"),
    "times": ("{} × {} =", "2*4 3*3 5*2 4*6 7*5 6*8 9*3 10*7"),
    "story": (
        "Anna had {} apples and then found {} more. Now the number of her apples is",
        "1+1 2+2 3+1 4+2 5+5 6+3 8+2 10+4",
    ),
}
"""Template -> (beginning, sums)."""

CYCLES: dict[str, tuple[str, str]] = {
    "days": ("Monday Tuesday Wednesday Thursday Friday Saturday Sunday", "0 2 3 5 6"),
    "months": (
        "January February March April May June July August September October November December",
        "0 2 4 7 9 11",
    ),
    "letters": ("Z Y X W V U T S R Q P O N M L K J I H G F E D C B A", "0 4 8 13 17 20"),
    "threes": ("3 6 9 12 15 18 21 24 27 30 33 36 39", "0 1 3 5 6"),
    "sevens": ("7 14 21 28 35 42 49 56 63 70 77 84", "0 1 2 4 5"),
    "doubles": ("1 2 4 8 16 32 64 128 256 512 1024 2048", "0 1 2 4 6"),
    "downwards": ("50 46 42 38 34 30 26 22 18 14 10 6 2", "0 1 3 5 6"),
}
"""Template -> (the series, places where a question starts); three are shown, the next is asked."""

ENDINGS: dict[str, dict[str, str]] = {
    "grammar": {
        "near_noun": """
            The keys on the table [are | is | am | be] mine.
            The key to the rooms on the upper floors [is | are | am | be] lost.
            The price of the tickets [has gone | have gone | having gone | to go] up.
            The girl with the red shoes [is | are | am | be] my sister.
            The pictures that my aunt painted [show | shows | showing | shown] the sea.
            A box of old letters [was | were | be | are] found.
            The road between the villages [is | are | am | being] closed.
            The boys who laughed at the tall teacher [like | likes | liking | to like] music.
        """,
        "reflexive": """
            Mary cut [herself | himself | themselves | ourselves] with the knife.
            My brother taught [himself | herself | themselves | yourself] to swim.
            The children hid [themselves | himself | herself | myself] behind the sofa.
            We made [ourselves | himself | herself | itself] a cup of tea.
            I saw [myself | herself | themselves | yourself] in the mirror.
            The cat washed [itself | ourselves | yourself | myself] in the sun.
            The queen saw [herself | himself | themselves | myself] as a servant.
        """,
        "verb_form": """
            Yesterday she [went | goes | going | gone] to the market.
            They have never [seen | saw | seeing | see] the sea.
            By tomorrow he will [have finished | has finished | had finished | finished] the work.
            When I was a child, I often [played | play | plays | playing] in the park.
            At the moment we are [waiting | wait | waited | waits] for the bus.
            The bread was [baked | bake | bakes | to baked] this morning.
            He did not [know | knew | knows | known] the answer.
            She has already [eaten | ate | eat | eating] her lunch.
        """,
        "small_word": """
            She put the book [on | at | of | since] the shelf.
            He has lived here [since | for | during | at] 1990.
            We will meet [at | on | of | in] noon.
            I am afraid [of | from | at | on] spiders.
            The train leaves [on | at | of | between] Friday.
            He is better at chess [than | as | that | then to] his sister.
            There are not [many chairs | much chairs | a little chairs | any chair] left.
        """,
    },
    "physical": {
        "result": """
            If you leave ice in the warm sun, it will [melt | freeze | burn | rust].
            If you drop a glass on a stone floor, it will [break | bounce | float | melt].
            If you put a stone into a pond, it will [sink | float | fly | burn].
            If you hold paper in a flame, it will [burn | freeze | melt | grow].
            If you leave water in the freezer, it turns into [ice | steam | sand | salt].
            If you do not water a plant for weeks, it will [die | bloom | swim | rust].
            If you blow too much air into a balloon, it will [burst | sink | freeze | melt].
            If an iron nail stays in the rain, it will [rust | melt | burn | grow].
            If you put sugar into hot tea and stir, it will [dissolve | break | float | burn].
            If you let go of a ball in the air, it will [fall | stay there | rise | vanish].
        """,
        "reason": """
            He put on a thick coat because it was [cold | hot | noon | green] outside.
            She opened her umbrella because it had started to [rain | shine | ring | sing].
            They turned on the lamp because the room was too [dark | bright | small | warm].
            The boy drank three glasses of water because he was [thirsty | tired | late | clean].
            She went to bed early because she was [tired | hungry | thirsty | tall].
            She called the fire brigade because the house was [on fire | for sale | small | old].
            She went to the dentist because of the pain in her [tooth | foot | house | coat].
            He could not lift the box because it was too [heavy | light | empty | blue].
        """,
        "place": """
            Fish live in [water | trees | clouds | fire].
            You keep milk cold in the [fridge | oven | garden | bath].
            A bird builds its nest in a [tree | river | kettle | pocket].
            You wash your hands in the [sink | bed | cupboard | chimney].
            People borrow books from a [library | bakery | river | stable].
            To bake a cake, put it into the [oven | fridge | bath | letter box].
            Trains run on [rails | water | wings | wheels of cheese].
            At night, far above us, you can see the [stars | sun | roots | carpets].
        """,
        "order": """
            First you put on your socks, then you put on your [shoes | shirt | hat | gloves].
            Before you eat an orange, you [peel | read | paint | iron] it.
            After washing the dishes, you [dry | eat | plant | read] them.
            Before you drive away, you must start the [engine | road | garage | mirror].
            A caterpillar slowly turns into a [butterfly | fish | mouse | tree].
            After winter comes [spring | autumn | night | Monday].
            A seed grows into a [plant | stone | bird | cloud].
            First you write the letter, then you [send | hatch | boil | tune] it.
        """,
    },
}
"""Category -> template -> lines of `beginning [right | wrong | wrong | wrong] end`."""
