"""What is true in the small world."""

NAMES = (
    """Anna Ben Clara David Emma Felix Grace Henry Iris Jack Kate Leo Mia Noah Olivia Paul Rosa Sam Tom Lily
Max Nina Oscar Ruby Theo Vera Will Zoe Lucas Maria Peter Sara Alex Eva Hugo Julia""".split()
)

# country, capital, continent, language
COUNTRIES = [tuple(row.split("/")) for row in """France/Paris/Europe/French
Germany/Berlin/Europe/German
Italy/Rome/Europe/Italian
Spain/Madrid/Europe/Spanish
Portugal/Lisbon/Europe/Portuguese
England/London/Europe/English
Ireland/Dublin/Europe/English
Greece/Athens/Europe/Greek
Austria/Vienna/Europe/German
Poland/Warsaw/Europe/Polish
Sweden/Stockholm/Europe/Swedish
Norway/Oslo/Europe/Norwegian
Denmark/Copenhagen/Europe/Danish
Finland/Helsinki/Europe/Finnish
Hungary/Budapest/Europe/Hungarian
Russia/Moscow/Europe/Russian
Turkey/Ankara/Asia/Turkish
Egypt/Cairo/Africa/Arabic
Morocco/Rabat/Africa/Arabic
Kenya/Nairobi/Africa/Swahili
Nigeria/Abuja/Africa/English
India/New Delhi/Asia/Hindi
China/Beijing/Asia/Chinese
Japan/Tokyo/Asia/Japanese
South Korea/Seoul/Asia/Korean
Thailand/Bangkok/Asia/Thai
Vietnam/Hanoi/Asia/Vietnamese
Indonesia/Jakarta/Asia/Indonesian
Australia/Canberra/Australia/English
New Zealand/Wellington/Oceania/English
Canada/Ottawa/North America/English
the United States/Washington/North America/English
Mexico/Mexico City/North America/Spanish
Cuba/Havana/North America/Spanish
Brazil/Brasilia/South America/Portuguese
Argentina/Buenos Aires/South America/Spanish
Chile/Santiago/South America/Spanish
Peru/Lima/South America/Spanish""".splitlines()]
CITIES = [row[1] for row in COUNTRIES]

# animal, sound, legs, home, food, young, kind
ANIMALS = [tuple(row.split("/")) for row in """dog/barks/4/a house/meat/puppy/mammal
cat/meows/4/a house/fish/kitten/mammal
cow/moos/4/a farm/grass/calf/mammal
horse/neighs/4/a stable/hay/foal/mammal
sheep/bleats/4/a meadow/grass/lamb/mammal
pig/grunts/4/a farm/corn/piglet/mammal
duck/quacks/2/a pond/seeds/duckling/bird
hen/clucks/2/a farm/grain/chick/bird
owl/hoots/2/a tree/mice/owlet/bird
lion/roars/4/the savanna/meat/cub/mammal
tiger/growls/4/the jungle/meat/cub/mammal
bear/growls/4/a cave/berries/cub/mammal
wolf/howls/4/the forest/meat/pup/mammal
fox/yelps/4/a den/rabbits/kit/mammal
frog/croaks/4/a pond/flies/tadpole/amphibian
mouse/squeaks/4/a hole/cheese/pup/mammal
rabbit/squeaks/4/a burrow/carrots/kit/mammal
elephant/trumpets/4/the savanna/leaves/calf/mammal
monkey/chatters/4/the jungle/bananas/infant/mammal
bee/buzzes/6/a hive/nectar/larva/insect
snake/hisses/0/the grass/mice/hatchling/reptile
goat/bleats/4/the mountains/grass/kid/mammal
crow/caws/2/a tree/seeds/chick/bird
deer/bellows/4/the forest/leaves/fawn/mammal""".splitlines()]
# from small to large
SIZES = "ant bee mouse frog duck cat fox dog sheep pig wolf lion bear cow horse elephant whale".split()

OPPOSITES = [
    tuple(pair.split("/"))
    for pair in """hot/cold big/small tall/short fast/slow happy/sad light/dark old/new young/old early/late up/down
open/closed full/empty hard/soft wet/dry clean/dirty loud/quiet rich/poor strong/weak good/bad near/far
day/night left/right first/last begin/end buy/sell true/false always/never inside/outside friend/enemy
summer/winter north/south east/west laugh/cry
""".split()
]
SYNONYMS = [
    tuple(pair.split("/"))
    for pair in """happy/glad big/large small/little fast/quick begin/start
beautiful/pretty sad/unhappy easy/simple strange/odd
jump/leap look/see speak/talk home/house road/street gift/present
ill/sick correct/right kind/nice""".split()
]
PLURALS = [
    tuple(pair.split("/"))
    for pair in """cat/cats dog/dogs box/boxes bus/buses child/children man/men woman/women mouse/mice foot/feet
tooth/teeth goose/geese wolf/wolves city/cities baby/babies story/stories sheep/sheep
apple/apples tree/trees house/houses
book/books horse/horses bird/birds""".split()
]
PAST_TENSES = [
    tuple(pair.split("/"))
    for pair in """go/went eat/ate see/saw run/ran come/came take/took give/gave make/made find/found think/thought
sing/sang write/wrote sleep/slept speak/spoke buy/bought bring/brought
walk/walked play/played know/knew begin/began fall/fell
""".split()
]

CATEGORIES = {
    "fruit": "apple banana pear plum cherry grape lemon orange peach melon".split(),
    "vegetable": "carrot potato onion cabbage pea bean spinach pepper cucumber leek".split(),
    "animal": "dog cat horse cow sheep lion tiger bear rabbit mouse".split(),
    "color": "red blue green yellow purple white black brown pink gray".split(),
    "tool": "hammer saw drill screwdriver wrench axe shovel rake".split(),
    "piece of clothing": "shirt hat coat sock glove scarf dress skirt".split(),
    "piece of furniture": "table chair bed sofa desk shelf lamp".split(),
    "musical instrument": "piano violin guitar drum flute trumpet harp".split(),
    "flower": "rose tulip daisy lily violet sunflower".split(),
    "bird": "owl crow duck eagle sparrow robin swan".split(),
    "vehicle": "car bus train bicycle boat truck plane".split(),
    "drink": "water milk tea coffee juice lemonade".split(),
}
CATEGORY_PLURALS = {
    "piece of clothing": "pieces of clothing",
    "piece of furniture": "pieces of furniture",
}

DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = """January February March April May June July August September October November December""".split()
MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
SEASONS = {
    "winter": ("December", "January", "February"),
    "spring": ("March", "April", "May"),
    "summer": ("June", "July", "August"),
    "autumn": ("September", "October", "November"),
}

# small unit, large unit, how many small ones make a large one
UNITS = [
    ("seconds", "minute", 60),
    ("minutes", "hour", 60),
    ("hours", "day", 24),
    ("days", "week", 7),
    ("months", "year", 12),
    ("centimeters", "meter", 100),
    ("millimeters", "centimeter", 10),
    ("meters", "kilometer", 1000),
    ("grams", "kilogram", 1000),
    ("milliliters", "liter", 1000),
    ("cents", "dollar", 100),
    ("years", "century", 100),
    ("years", "decade", 10),
    ("eggs", "dozen", 12),
]

PROFESSIONS = [tuple(row.split("/")) for row in """baker/bakes bread and cakes/a bakery
teacher/helps children learn/a school
doctor/helps people who are ill/a hospital
nurse/looks after patients/a hospital
farmer/grows food and keeps animals/a farm
pilot/flies planes/an airport
chef/cooks meals/a restaurant
painter/paints pictures/a studio
tailor/makes and mends clothes/a workshop
librarian/looks after books/a library
gardener/plants flowers and trees/a garden
firefighter/puts out fires/a fire station
carpenter/makes things out of wood/a workshop
sailor/works on a ship/the sea
dentist/looks after teeth/a clinic
vet/treats sick animals/a clinic
judge/decides cases in court/a court
miner/digs for coal and metal/a mine""".splitlines()]

# question, answer, other ways to ask
GENERAL = [
    tuple(row.split("/"))
    for row in """What color is the sky?/On a clear day the sky is blue./blue/Tell me the color of the sky.
What color is grass?/Grass is green./green/Which color does grass have?
What color is snow?/Snow is white./white/Which color does snow have?
What color is a banana?/A ripe banana is yellow./yellow/Which color does a banana have?
What color is blood?/Blood is red./red/Which color does blood have?
What color is coal?/Coal is black./black/Which color does coal have?
What do bees make?/Bees make honey./honey/What is made by bees?
What do cows give us?/Cows give us milk./milk/What do we get from cows?
What do hens lay?/Hens lay eggs./eggs/What do we get from hens?
Where does wool come from?/Wool comes from sheep./sheep/Which animal gives us wool?
What is bread made of?/Bread is made of flour, water, salt and yeast./flour/What do you need to bake bread?
What is ice?/Ice is frozen water./water/Can you explain what ice is?
At what temperature does water freeze?/Water freezes at 0 degrees Celsius./0/When does water turn into ice?
At what temperature does water boil?/Water boils at 100 degrees Celsius./100/How hot is boiling water?
How many planets are there in the solar system?/There are 8 planets in the solar system./8/How many planets go around the sun?
Which planet is the largest?/Jupiter is the largest planet of the solar system./Jupiter/What is the biggest planet?
Which planet is closest to the sun?/Mercury is the planet closest to the sun./Mercury/What is the nearest planet to the sun?
Which planet is called the red planet?/Mars is called the red planet./Mars/What is the red planet?
What is the moon?/The moon is a large ball of rock that goes around the Earth./Earth/Can you tell me what the moon is?
What is the sun?/The sun is a star. It gives us light and warmth./star/Can you tell me what the sun is?
Why is the sky blue?/Sunlight holds many colors, and the air scatters blue light the most./scatters/Do you know why the sky is blue?
Why does it rain?/Water rises from seas and rivers as vapor, forms clouds, and falls back as rain./clouds/Where does rain come from?
What is the largest ocean?/The Pacific Ocean is the largest ocean./Pacific/Which ocean is the biggest?
What is the longest river in Africa?/The Nile is the longest river in Africa./Nile/Which river is the longest in Africa?
What is the highest mountain?/Mount Everest is the highest mountain on Earth./Everest/Which mountain is the tallest in the world?
How many continents are there?/There are 7 continents./7/Can you tell me the number of continents?
How many legs does a spider have?/A spider has 8 legs./8/How many legs do spiders have?
How many legs does an insect have?/An insect has 6 legs./6/How many legs do insects have?
What is the largest animal?/The blue whale is the largest animal on Earth./whale/Which animal is the biggest of all?
What is the tallest animal?/The giraffe is the tallest animal./giraffe/Which animal is the tallest?
What is the fastest land animal?/The cheetah is the fastest land animal./cheetah/Which animal runs the fastest?
How many sides does a triangle have?/A triangle has 3 sides./3/How many sides are there in a triangle?
How many sides does a square have?/A square has 4 sides, all of the same length./4/How many sides are there in a square?
How many sides does a hexagon have?/A hexagon has 6 sides./6/How many sides are there in a hexagon?
How many letters are in the English alphabet?/The English alphabet has 26 letters./26/How many letters does the alphabet have?
How many days are in a year?/A year has 365 days, and a leap year has 366./365/How many days does a year have?
How many days are in a leap year?/A leap year has 366 days./366/How many days does a leap year have?
How many weeks are in a year?/A year has about 52 weeks./52/How many weeks does a year have?
How many colors does a rainbow have?/A rainbow has 7 colors: red, orange, yellow, green, blue, indigo and violet./7/What are the colors of the rainbow?
What do plants need to grow?/Plants need water, light, air and soil to grow./water/What does a plant need?
What gas do we breathe?/We breathe air, and our bodies need the oxygen in it./oxygen/Which gas do people need to breathe?
What do we use to tell the time?/We use a clock or a watch to tell the time./clock/Which thing shows the time?
What do you use an umbrella for?/An umbrella keeps you dry when it rains./dry/Why do people carry an umbrella?
What is a computer?/A computer is a machine that follows instructions to work with information./machine/Can you explain what a computer is?
What is a language model?/A language model is a program that predicts the next word, over and over, to write text./predicts/Can you explain what a language model is?
What do you get when you mix blue and yellow?/Blue and yellow make green./green/[Which color do blue and yellow make|Which color is blue and yellow together|I have blue and yellow paint. Which color can I make|If blue meets yellow, which color comes out]?
What do you get when you mix red and blue?/Red and blue make purple./purple/[Which color do red and blue make|Which color is red and blue together|I have red and blue paint. Which color can I make|If red meets blue, which color comes out]?
What do you get when you mix red and yellow?/Red and yellow make orange./orange/[Which color do red and yellow make|Which color is red and yellow together|I have red and yellow paint. Which color can I make|If red meets yellow, which color comes out]?
Where does the sun rise?/The sun rises in the east./east/In which direction does the sun rise?
Where does the sun set?/The sun sets in the west./west/In which direction does the sun set?""".splitlines()
]
