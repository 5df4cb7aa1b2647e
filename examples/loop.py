# Never ends by itself: try it with --limit cpu=1s.
n = 0
while True:
    n += 1
