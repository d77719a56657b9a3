"""Can a network for images recognize spoken words? It reads their spectrograms.

    python -m experiments.audio
    python -m experiments.audio --data my_recordings/
    python -m experiments.audio --data speech_commands

A waveform is cut into chunks and each chunk is split into frequency bands: the result
is an image with a column per chunk and a row per band. The same CNN reads plain
spectrograms, log-mel spectrograms and MFCC; an MLP and a linear model read the same
input. All are tested on clean and on noisy recordings. Then the bands, or the chunks,
are put into another order, the same for all recordings.

The words are synthetic speech (`synthetic_digits`), spoken by espeak-ng. The test split
has other voices than the training split; a second test uses another synthesizer. The
hyperparameters were chosen on another split of the voices, which is not reported.

Expected: an accuracy of at least 95 % on unseen voices; in noise as loud as the speech
the CNN is ahead; another order of the bands costs the CNN accuracy, but not the MLP.
Under 4 minutes on 2 CPU cores.
"""

from experiments.audio.config import Config as Config
from experiments.audio.experiment import Result as Result
from experiments.audio.experiment import run as run
