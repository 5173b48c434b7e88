"""The playground: a training to watch, pause and step through in the browser, a batch at a time.

A ``Playground`` is what is played with: the choices, the examples, the training. One thread, the ``Stage``,
owns it; a small server hands it wishes and pushes what happens. Tables and the microscope are handed in.
"""
