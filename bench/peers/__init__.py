"""Trains the same networks with fastweights and its peers, and says who took how long.

``python -m bench.peers`` prints tables, writes JSON and draws a picture; README.md in the folder
above says how each contender is set up, and why so.

    networks, images, sequences
                 the networks, for each library and in plain NumPy
    workloads    those that race, their data, their arithmetic
    contenders   one class a library, all with the same three methods
    race         contenders taking turns; the process in which they do
    precision    the same for products of less than float32 accuracy
    goals        what is to be reached, beside what was
    report       tables
    picture      the PNG
"""
