"""The catalogue of places: their words, light and weather. The painting is done elsewhere."""

from __future__ import annotations

from worldreel.world.places.place import Place

CATALOGUE: tuple[Place, ...] = (
    Place(
        name="beach", rank=1, weathers=("clear", "rain", "fog"), water=(0.585, 0.63),
        phrases=("on a beach", "on the beach", "at the beach", "by the sea", "at the seaside",
                 "on a sandy shore", "on a tropical beach", "on the sand by the ocean"),
        description=(
            "Golden sand meets a turquoise sea, with palm trees and striped parasols behind.",
            "Gentle surf rolls onto a wide sandy beach lined with palms.",
            "Behind lies a calm tropical ocean with small green islands on the horizon."),
    ),
    Place(
        name="meadow", rank=1,
        phrases=("in a meadow", "on a green meadow", "in a field of flowers", "in the grass",
                 "on a grassy hill", "in a flowery meadow", "in green fields"),
        description=(
            "A lush green meadow dotted with colourful flowers rolls towards soft hills.",
            "Round leafy trees stand on bright grass full of wildflowers.",
            "Gentle hills and fluffy trees lie behind a field of blossoms."),
    ),
    Place(
        name="snowy mountains", rank=1, weathers=("clear", "snow", "fog"),
        phrases=("in snowy mountains", "in the snow", "in the mountains", "on a snowy slope",
                 "among snow-covered peaks", "in the winter mountains", "across the snow"),
        paint_light={"day": (0.98, 1.0, 1.04), "dusk": (1.0, 0.8, 0.8),
                     "night": (0.58, 0.66, 0.94)},
        description=(
            "White peaks rise behind a field of fresh snow and snow-laden fir trees.",
            "Jagged snow-capped mountains tower over a smooth white slope.",
            "Fir trees carry thick snow beneath high icy summits."),
    ),
    Place(
        name="neon city street", rank=1, times=("night",), weathers=("rain", "clear", "fog"),
        phrases=("on a neon city street at night", "in a neon-lit street", "in neon Tokyo",
                 "down a Tokyo street with glowing signs", "among neon lights in the rain",
                 "on a wet neon street", "in a glowing night city"),
        lit={"night": (0.97, 0.86, 1.0)}, shadow=0.45,
        description=(
            "Glowing neon signs and lit shop windows mirror in the wet asphalt.",
            "Pink, blue and yellow neon shines over a rainy street of tall buildings.",
            "Red lanterns and upright neon boards light a city street at night, and the road "
            "reflects them."),
    ),
    Place(
        name="under water", rank=1, media=frozenset({"water"}), weathers=("clear",),
        phrases=("under water", "underwater", "in the deep sea", "beneath the sea",
                 "in a coral reef", "under the ocean", "at the bottom of the sea"),
        lit={"day": (0.82, 0.97, 1.05), "dusk": (0.88, 0.78, 0.98), "night": (0.62, 0.74, 1.0)},
        paint_light={"day": (0.84, 0.98, 1.0), "dusk": (0.9, 0.75, 0.9),
                     "night": (0.36, 0.5, 0.85)},
        shadow=0.2,
        description=(
            "Shafts of light fall through blue water onto a sandy floor with coral and seaweed.",
            "A colourful reef of pink and orange coral sways beneath the sea.",
            "Bubbles rise through clear blue water above waving seaweed."),
    ),
    Place(
        name="space", rank=1, media=frozenset({"ground", "air"}), times=("night",),
        weathers=("clear",),
        phrases=("in space", "in outer space", "on the moon", "among the stars",
                 "on a distant moon", "far out in space", "in the galaxy"),
        lit={"night": (0.97, 0.94, 1.0)}, paint_light={"night": (0.92, 0.86, 1.0)}, shadow=0.4,
        description=(
            "A ringed planet hangs among countless stars above the cratered ground of a moon.",
            "Purple and pink nebulae glow behind colourful planets.",
            "Grey lunar ground full of craters lies under a starry sky."),
    ),
    Place(
        name="forest", rank=1,
        phrases=("in a forest", "in the forest", "in the woods", "in a deep green forest",
                 "among tall trees", "on the forest floor", "under the trees"),
        paint_light={"day": (0.96, 1.0, 0.92), "dusk": (1.0, 0.8, 0.68),
                     "night": (0.52, 0.64, 0.88)},
        description=(
            "Tall trunks fade into misty light above ferns and red toadstools.",
            "Sunbeams slant between the trees onto a mossy forest floor.",
            "A deep green wood of mighty trees surrounds a leafy clearing."),
    ),
    Place(
        name="desert", rank=1, weathers=("clear", "fog"),
        phrases=("in a desert", "in the desert", "among sand dunes", "across the dunes",
                 "in a sandy desert", "among cacti", "in the hot sand"),
        paint_light={"day": (1.03, 1.0, 0.95), "dusk": (1.0, 0.78, 0.66),
                     "night": (0.56, 0.62, 0.92)},
        description=(
            "Golden dunes with tall green cacti stretch towards red table mountains.",
            "Saguaro cacti cast shadows on wind-rippled sand.",
            "Banded red mesas stand behind an empty sandy desert."),
    ),
    Place(
        name="dirt road among pines",
        phrases=("on a dirt road among pines", "up a steep dirt road", "on a steep dirt road",
                 "on a mountain road among pine trees", "along a dusty road through the pines",
                 "on a forest track"),
        description=(
            "A rutted dirt road runs along a steep slope thick with pine trees.",
            "Dusty ruts lead past dark pines beneath wooded mountains.",
            "Pines crowd the grassy bank beside a sunlit mountain track."),
    ),
    Place(
        name="city street",
        phrases=("on a city street", "in the city", "in town", "on a busy street",
                 "along a city street", "in a street of shops", "downtown"),
        description=(
            "Painted house fronts with striped awnings line a clean city street.",
            "Shops, trees and lamp posts stand along the pavement before hazy towers.",
            "A friendly high street of colourful buildings runs past."),
    ),
    Place(
        name="art gallery", times=("day",), weathers=("clear",),
        phrases=("in an art gallery", "in a museum", "in a picture gallery",
                 "in front of paintings", "at an exhibition", "in a gallery of paintings"),
        paint_light={"day": (1.0, 0.96, 0.9)}, shadow=0.4,
        description=(
            "Bright paintings in golden frames hang on a pale wall above a wooden floor.",
            "Small lamps light a row of framed pictures in a quiet gallery.",
            "Colourful canvases line the wall, and red benches stand on polished wood."),
    ),
    Place(
        name="canal", weathers=("clear", "rain", "fog"), water=(0.62, 0.69),
        phrases=("by a canal with colourful houses", "among the colourful houses of Burano",
                 "in Burano", "along a canal", "by the canal", "beside a Venetian canal",
                 "on a quay before painted houses"),
        description=(
            "Brightly painted houses with shutters mirror in a narrow canal.",
            "Red, yellow and blue fronts line the water behind a stone quay.",
            "Striped mooring poles and pots of flowers stand along a Venetian canal."),
    ),
    Place(
        name="kitchen table", weathers=("clear",),
        phrases=("on a kitchen table", "on the kitchen table", "in a kitchen", "in the kitchen",
                 "on a wooden table", "at the breakfast table"),
        lit={"day": (1.0, 1.0, 0.97), "dusk": (1.0, 0.92, 0.85), "night": (0.95, 0.9, 0.9)},
        paint_light={"day": (1.0, 0.98, 0.94), "dusk": (1.0, 0.86, 0.76),
                     "night": (0.82, 0.74, 0.78)},
        shadow=0.45,
        description=(
            "A wooden table stands before a tiled kitchen wall with a window and shelves of jars.",
            "Sunlit windows with red curtains look onto a garden behind the table.",
            "White plates lie on a warm wooden kitchen table."),
    ),
    Place(
        name="farm",
        phrases=("on a farm", "at the farm", "in a farmyard", "by a red barn",
                 "in front of a barn", "on the farm", "in the countryside"),
        description=(
            "A red barn and a silo stand behind a white fence and bales of hay.",
            "Striped golden fields roll behind a farmyard of green grass.",
            "Round hay bales lie by a picket fence before a red barn."),
    ),
    Place(
        name="playground",
        phrases=("on a playground", "at the playground", "in a playground", "by the swings",
                 "next to a slide", "in the park", "at a play park"),
        description=(
            "A red slide, purple swings and a climbing dome stand on soft ground in a park.",
            "Colourful playground toys wait behind a yellow fence and leafy trees.",
            "Bright round pads dot a cheerful playground with swings and a slide."),
    ),
    Place(
        name="open sea", media=frozenset({"water", "air"}), water=(0.7, 0.95), shadow=0.15,
        phrases=("on the open sea", "on the ocean", "at sea", "on the waves", "on the sea",
                 "across the water", "over the waves"),
        description=(
            "Rows of blue waves roll below a lighthouse on a far green island.",
            "The open sea sparkles to the horizon under a wide sky.",
            "Foam-tipped swells rise and fall on a calm ocean."),
    ),
)
