"""Short statements of fact by topic, each with the question it answers, and outlines of small stories."""

# A statement, below it the question that it answers. Every statement stands alone: any order makes a passage.
FACTS: dict[str, str] = {
    "bees": """\
Honeybees live in colonies that can hold more than forty thousand workers in summer.
How many workers live in a colony?
A queen bee may lay up to two thousand eggs in a single day.
How many eggs can a queen lay in a day?
Worker bees tell each other where flowers are by dancing on the comb.
How do worker bees tell each other about flowers?
Nectar becomes honey when the bees fan it with their wings until most of the water is gone.
How does nectar become honey?
In winter the bees form a tight ball and shiver to keep the queen warm.
What do bees do in winter?
Bees cannot see the colour red, but they see ultraviolet light.
Which colour can bees not see?
Many fruit trees carry little fruit unless insects visit their blossoms.
Why do fruit trees need insects?
Beekeepers blow a little smoke into the hive because it makes the bees calm.
Why do beekeepers use smoke?""",
    "rivers": """\
Most rivers begin as small springs or melting snow in hills and mountains.
Where do most rivers begin?
A river flows fastest where its bed is steep and narrow.
Where does a river flow fastest?
On flat land the water slows down and drops the sand and mud it has carried.
What happens to sand and mud on flat land?
A delta is the fan of new land that forms where a river meets the sea.
What is a delta?
Bends in a river grow wider over time because the outer bank is worn away.
Why do bends in a river grow wider?
Floods leave fine soil on the fields, which helped early farmers.
How did floods help early farmers?
A dam stores water for dry months and can also make electricity.
What are dams used for?
Salmon swim up the river in which they were born in order to lay their eggs.
Where do salmon lay their eggs?""",
    "bread": """\
Plain bread needs only flour, water, salt and something that makes it rise.
What does plain bread need?
Yeast is a tiny fungus that feeds on sugar and gives off gas.
What is yeast?
Kneading stretches the dough and builds the net that holds the gas.
What does kneading do?
A cool and slow rise gives the loaf more taste than a quick and warm one.
What kind of rise gives more taste?
Steam in the oven keeps the crust soft long enough for the loaf to grow.
Why do bakers use steam?
Sourdough is made with wild yeast and bacteria from flour and air.
What makes sourdough different?
Bread goes stale faster in a refrigerator than on the kitchen table.
Where does bread go stale faster?
Flat breads are among the oldest foods that people have baked.
Which breads are among the oldest?""",
    "moon": """\
The Moon takes a little more than twenty-seven days to go around the Earth.
How long does the Moon take to circle the Earth?
We always see the same side of the Moon because it turns once in every orbit.
Why do we always see the same side of the Moon?
Moonlight is sunlight that the grey surface of the Moon reflects.
Where does moonlight come from?
The pull of the Moon raises the tides in the oceans twice a day.
What raises the tides?
Without air the sky over the Moon is black even at noon.
What colour is the Moon's sky at noon?
The dark plains on the Moon are old fields of lava.
What are the dark plains on the Moon?
Footprints on the Moon last very long because no wind or rain removes them.
Why do footprints last on the Moon?
A lunar eclipse happens when the Earth's shadow falls on the full Moon.
When does a lunar eclipse happen?""",
    "libraries": """\
A public library lends books to anyone who holds a card.
Who can borrow books from a public library?
Before printing, a single book could take a scribe many months to copy.
How long did it take to copy a book by hand?
Books are kept on the shelf by subject, so that books on one subject stand together.
How are books kept on the shelf?
Some libraries send a bus full of books to villages far from town.
How do villages far from town get books?
Old paper is best kept in dry, cool and dark rooms.
How should old paper be kept?
Many libraries also lend tools, games and musical instruments.
What do libraries lend apart from books?
Librarians help readers to find sources they can trust.
What do librarians help readers with?
A quiet table in a library is often the best place for study in a noisy city.
Where can people study in a noisy city?""",
    "bicycles": """\
A bicycle turns almost all of the rider's effort into motion.
How much of the rider's effort becomes motion?
Early bicycles had no pedals, and riders pushed themselves along with their feet.
How did riders move early bicycles?
Tyres filled with air made cycling far more comfortable.
What made cycling more comfortable?
A low gear makes it easier to climb a hill, though the rider must pedal more often.
What is a low gear good for?
A dry chain wears out quickly, so it should be cleaned and oiled.
Why should a chain be oiled?
Cities that build separate lanes for bicycles see more people ride to work.
What makes more people ride to work?
A helmet protects the head only if its straps are closed and fit well.
When does a helmet protect the head?
Cargo bicycles can carry small children or a week of shopping.
What can cargo bicycles carry?""",
    "forests": """\
Trees take carbon dioxide from the air and store the carbon in their wood.
Where do trees store carbon?
A large oak gives food and shelter to hundreds of kinds of insects.
What does a large oak give to insects?
Fungi in the soil trade water and minerals for sugar from the roots.
What do fungi trade with trees?
The age of a felled tree can be read from the rings in its trunk.
How can one read the age of a tree?
Dead wood on the ground becomes a home for beetles and young plants.
What is dead wood good for?
Some pine cones open only after the heat of a fire.
When do some pine cones open?
Foresters leave a few old trees standing so that birds can nest in them.
Why do foresters leave old trees standing?
Rain forests near the equator hold more kinds of trees than cool forests do.
Which forests hold more kinds of trees?""",
    "weather": """\
Wind is air that moves from places of high pressure to places of low pressure.
What is wind?
Clouds form when warm, damp air rises and cools.
When do clouds form?
Thunder is heard after the flash because sound travels much more slowly than light.
Why is thunder heard after the flash?
Hailstones grow as strong winds carry them up and down inside a storm cloud.
How do hailstones grow?
A clear night is usually colder than a cloudy one, because clouds hold warmth back.
Why is a clear night colder?
Fog is a cloud that touches the ground.
What is fog?
Forecasts are made by computers that divide the air into millions of small boxes.
How are forecasts made?
Coasts have milder winters than inland towns, since the sea cools slowly.
Why are winters milder at the coast?""",
    "ships": """\
A ship floats because it pushes away water that weighs as much as the ship does.
Why does a ship float?
Sailors once found their way by the height of the sun and the stars.
How did sailors once find their way?
A keel keeps a sailing boat from drifting sideways and from tipping over.
What is a keel for?
Lighthouses warned ships of rocks long before there were radios.
What did lighthouses do?
Most goods that are traded between continents travel in steel containers.
How do most goods travel between continents?
A canal lock lifts a boat by letting water flow into a closed chamber.
How does a canal lock lift a boat?
On a long voyage fresh fruit kept the crew healthy.
What kept the crew healthy?
Shells that grow on the hull slow a ship down and must be scraped off.
Why are shells scraped off the hull?""",
    "music": """\
A string sounds higher when it is shorter, thinner or pulled tighter.
What makes a string sound higher?
The oldest known flutes were carved from the bones of birds and mammoths.
What were the oldest flutes made of?
In an orchestra the oboe gives the note to which the others tune.
Which instrument gives the tuning note?
A piano has hammers that strike the strings when a key is pressed.
What happens when a piano key is pressed?
Drummers keep the time, so the rest of the band listens to them.
Why does the band listen to the drummer?
Singing in a choir slows the breath and can make people feel at ease.
How can singing in a choir help people?
A sheet of music shows which notes to play and how long each one lasts.
What does a sheet of music show?
Short daily practice helps a learner more than one long lesson a week.
What helps a learner more than one long lesson?""",
}

# Slots are filled by prose_prompts; the text of each outline answers its question.
STORIES: dict[str, tuple[str, str]] = {
    "shop": (
        "{name} opened a small {shop} in {town} in {year}. At first only {few} customers came on most "
        "days. Then {friend}, a neighbour, offered to paint a new sign for the window. The sign was so "
        "cheerful that people stopped to look, and many of them came in. Today the {shop} has {some} "
        "regular customers and two helpers. {name} says that the sign was the best present of all.",
        "What helped the {shop} in {town} to find customers?",
    ),
    "bus": (
        "The town council of {town} will change bus line {some} from {month}. Buses will leave every "
        "{few} minutes instead of every half hour. The line will also stop at the hospital and at the new "
        "school. {name}, who speaks for the council, said that many families had asked for the change. "
        "Tickets will cost the same as before. The council will look at the figures after one year.",
        "From when will bus line {some} change?",
    ),
    "storm": (
        "A storm crossed {town} on {day} night and brought down {some} trees. Two roads were closed until "
        "noon. {name} from the fire service said that nobody was hurt. Volunteers cleared the paths in "
        "the park, and a {shop} gave them hot drinks for free. The school stayed open, although {few} "
        "classes had to move to the sports hall.",
        "How many trees did the storm in {town} bring down?",
    ),
    "letter": (
        "Dear {name}, thank you for your letter of {day}. I am sorry that I could not visit {town} in "
        "{month}. My car broke down, and the repair took {few} days. I would like to come next month "
        "instead, if that suits you. I still have the {thing} you lent me and will bring it along. Please "
        "give my regards to your family. Yours, {friend}",
        "Why could {friend} not visit {town}?",
    ),
    "match": (
        "{town} won the final on {day} by {few} goals to one. {name} scored the first goal after only "
        "{some} minutes. The visitors played better in the second half, but their shots missed the goal. "
        "The coach, {friend}, praised the patience of the young team. About {hundreds} people watched the "
        "match in cold rain. The cup will be shown in the window of the local {shop}.",
        "Who scored the first goal for {town}?",
    ),
    "lost": (
        "When {name} got off the train in {town}, the {thing} was gone. {name} asked the guard, who "
        "called the next station. There a cleaner named {friend} had already found it under seat {some}. "
        "It came back on the evening train, wrapped in a newspaper. {name} sent the cleaner a cake and a "
        "card with {few} drawings on it.",
        "Where did {friend} find the {thing}?",
    ),
    "course": (
        "The evening school in {town} offers a new course in {month}. {name} will teach {some} beginners "
        "how to repair clothes, lamps and furniture. The course has {few} lessons of two hours each. "
        "Learners should bring something that is broken and, if possible, their own tools. The fee is "
        "{hundreds} crowns. Places are given in the order in which people sign up.",
        "What will people learn in the course in {town}?",
    ),
    "museum": (
        "The museum of {town} shows {some} old maps until the end of {month}. The oldest map is from "
        "{year} and shows a bridge that no longer exists. {name}, who collects maps, found it in the "
        "attic of a {shop}. Visitors can compare the maps with photographs taken from the air. Children "
        "may draw a map of their own street. On {day} the museum is free.",
        "On which day is the museum of {town} free?",
    ),
    "garden": (
        "{name} and {friend} share a garden behind a {shop} in {town}. They planted beans, onions and "
        "{some} strawberry plants in the spring of {year}. Snails ate most of the first leaves. Then they "
        "put up a small fence of copper wire, and the plants recovered. In {month} they picked {few} "
        "baskets of fruit. They gave half of it to their neighbours.",
        "What did {name} and {friend} do against the snails?",
    ),
    "meeting": (
        "Hello all, here are the notes from our meeting on {day}. {name} will write to the {town} office "
        "about the broken heating. {friend} has ordered {some} chairs, which should arrive in {month}. We "
        "need {few} people to help with the summer party. The old {thing} in the hall can be given away, "
        "and anyone who wants it should say so this week. The next meeting is in two weeks at the usual "
        "time.",
        "What will {name} write to the {town} office about?",
    ),
}
