import matplotlib.pyplot as plt
import pandas as pd

scores = pd.read_csv("scores.csv", index_col="name")
print(scores.describe())
scores.plot.bar()
plt.savefig("scores.png")
