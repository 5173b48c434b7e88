"""The playground: a training to watch, pause and step through in the browser, a batch at a time.

A ``Session`` holds the data, the settings and the training. One thread, that of the ``Worker``, owns it and
executes the commands that a small server submits; the server sends the browser its events. Tables and the
microscope are passed in.
"""
