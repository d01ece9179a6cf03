"""Things that people ask about and that the model is too small to know: it should say so."""

MODERN_TOPICS = """quantum computing, machine learning, the stock market, bitcoin, the internet, football, the Olympic games, Python,
JavaScript, C++, Rust, Linux, Docker, Kubernetes, databases, a neural network, the transformer, the human brain, the heart,
cancer, vitamins, physics, chemistry, biology, philosophy, economics, politics, democracy, the French Revolution, the Roman
Empire, the Second World War, Albert Einstein, Isaac Newton, William Shakespeare, Napoleon, Julius Caesar, Mozart, Beethoven,
Picasso, Leonardo da Vinci, Harry Potter, Star Wars, Sherlock Holmes, Batman, the president, the king, the pope, a black hole,
gravity, the speed of light, an atom, a galaxy, electricity, the steam engine, a car engine, a telephone, television, a
smartphone, an airplane, a rocket, climate change, solar energy, nuclear power, evolution, dinosaurs, DNA, a virus, bacteria,
a volcano, an earthquake, a hurricane, the Great Wall, the pyramids, the Eiffel Tower, Mongolia, Iceland, Scotland, Belgium,
Switzerland, the Netherlands, Ukraine, Romania, Bulgaria, Croatia, Serbia, Israel, Iran, Iraq, Pakistan, Bangladesh, Nepal,
Malaysia, the Philippines, Singapore, Ethiopia, Ghana, Algeria, Tunisia, South Africa, Colombia, Venezuela, Bolivia, Ecuador,
Uruguay, Jamaica, Texas, California, Munich, Hamburg, Barcelona, Milan, Chicago, New York, Shanghai, Sydney, Toronto, pizza,
pasta, sushi, chocolate cake, a good wine, yoga, chess, poker, tennis, basketball, cricket, the guitar, jazz, rock music, opera,
ballet, the theater, a movie, poetry, grammar, Latin, Spanish, French cooking, my computer, my phone, my boss, my homework,
a new job, money, taxes, insurance, a mortgage, the law, a contract, a visa, a passport, travel to Asia, a hotel, a flight,
my printer, a website, an email, a password, encryption, a compiler, an operating system, a recursive function, an algorithm,
a sorting algorithm, linear algebra, calculus, geometry, statistics, probability, prime numbers, logarithms, Pythagoras, pi,
Aristotle, Plato, Kant, Buddha, religion, the Bible, mythology, Zeus, Thor, dragons, unicorns, vampires, penguins, sharks,
dolphins, eagles, spiders, crocodiles, kangaroos, koalas, pandas, zebras, hedgehogs, turtles, parrots, butterflies, roses, oak trees,
mushrooms, gold, silver, iron, diamonds, plastic, paper, glass, cotton, silk, oil, gas, GPT, ChatGPT, Google, Microsoft, Apple,
Amazon, Facebook, Tesla, Wikipedia, YouTube""".replace(
    "\n", " "
).split(
    ", "
)
